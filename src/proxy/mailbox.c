/* Orders from one thread to another's event loop: a locked list and an eventfd. */
#include "proxy/mailbox.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct letter {
    struct letter *next;
    int what;
    intptr_t value;
};

struct mailbox {
    pthread_mutex_t lock;
    struct letter *first, **last;
    int bell;
    struct event *rung;
    void (*take)(void *arg, int what, intptr_t value);
    void *arg;
};

static struct letter *mailbox_empty(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct letter *letters = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    return letters;
}

static void mailbox_rung(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct mailbox *mailbox = arg;
    uint64_t rings;
    if (read(fd, &rings, sizeof(rings)) < 0)
        return;
    for (struct letter *letter = mailbox_empty(mailbox), *next; letter != NULL; letter = next) {
        next = letter->next;
        mailbox->take(mailbox->arg, letter->what, letter->value);
        free(letter);
    }
}

struct mailbox *mailbox_new(struct event_base *base, void (*take)(void *arg, int what, intptr_t value), void *arg)
{
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
    if (mailbox == NULL)
        return NULL;
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->last = &mailbox->first;
    mailbox->take = take;
    mailbox->arg = arg;
    mailbox->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mailbox->rung = mailbox->bell < 0 ? NULL : event_new(base, mailbox->bell, EV_READ | EV_PERSIST, mailbox_rung, mailbox);
    if (mailbox->rung == NULL || event_add(mailbox->rung, NULL) != 0) {
        mailbox_free(mailbox);
        return NULL;
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    if (mailbox->rung != NULL)
        event_free(mailbox->rung);
    if (mailbox->bell >= 0)
        close(mailbox->bell);
    for (struct letter *letter = mailbox->first, *next; letter != NULL; letter = next) {
        next = letter->next;
        free(letter);
    }
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

bool mailbox_put(struct mailbox *mailbox, int what, intptr_t value)
{
    struct letter *letter = malloc(sizeof(*letter));
    if (letter == NULL)
        return false;
    *letter = (struct letter){.what = what, .value = value};
    pthread_mutex_lock(&mailbox->lock);
    *mailbox->last = letter;
    mailbox->last = &letter->next;
    pthread_mutex_unlock(&mailbox->lock);
    const uint64_t one = 1;
    ssize_t rung = write(mailbox->bell, &one, sizeof(one)); /* fails only where it rings already, more often than a number can count */
    return rung >= 0 || errno == EAGAIN;
}
