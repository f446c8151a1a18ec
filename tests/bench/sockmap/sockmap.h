/* A relay inside the kernel: what arrives at one socket goes out of another, by BPF maps of sockets and a program that looks up the way. */
#ifndef STUDY_SOCKMAP_H
#define STUDY_SOCKMAP_H

#include <stdbool.h>
#include <stdint.h>

/* How the kernel reads the socket: segment by segment as they come (`verdict`), or as messages that a second program delimits (`parser`). */
enum sockmap_mode { SOCKMAP_VERDICT, SOCKMAP_PARSER };

/* Descriptors. Two maps of sockets, so that no program takes a byte before its way out is known: it would be lost. */
struct sockmap {
    int ways;   /* cookie of a socket: the socket where its bytes go; no program */
    int taps;   /* the sockets whose bytes the program takes */
    int counts; /* cookie of a socket: struct sockmap_count */
    int limits; /* cookie of a socket: the same as sockmap_limit; none: no limit */
    int verdict, parser;
};

struct sockmap_count {
    uint64_t taken, dropped; /* bytes; what was dropped had been taken */
};

/* Each returns 0 or a negative errno. */

int sockmap_open(struct sockmap *map, enum sockmap_mode mode);
void sockmap_close(struct sockmap *map);

/* Ties two connected sockets to each other, both ways; sockmap_kick is still owed to both. */
int sockmap_join(const struct sockmap *map, int one, int other);

/* The steps of it, for whoever wants to look between them: the way out of `fd`, and that its bytes are taken. */
int sockmap_lead(const struct sockmap *map, int fd, int to);
int sockmap_tap(const struct sockmap *map, int fd);
int sockmap_untap(const struct sockmap *map, int fd);

/* Once it has taken so many bytes in all, the program leaves those that follow to who reads the socket; its buffer and its window bound them. */
int sockmap_limit(const struct sockmap *map, int fd, uint64_t taken);

/* Makes the program look at what had arrived before it was there; without this it waits for the next segment. */
int sockmap_kick(int fd);

/* Takes the socket out of all maps, its count too: closing it does so for the maps of sockets only. */
int sockmap_leave(const struct sockmap *map, int fd);

struct sockmap_count sockmap_count(const struct sockmap *map, int fd);

#endif
