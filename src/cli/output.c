/* Lines for standard output, many in one write and none in two halves of it. */
#include "cli/output.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

void output_init(struct output *output)
{
    output->error = 0;
    text_init(&output->text, output->bytes, sizeof(output->bytes));
}

bool output_flush(struct output *output)
{
    size_t done = 0;
    while (done < output->text.len && output->error == 0) {
        ssize_t wrote = write(STDOUT_FILENO, output->bytes + done, output->text.len - done);
        if (wrote >= 0)
            done += (size_t)wrote;
        else if (errno != EINTR)
            output->error = errno;
    }
    text_init(&output->text, output->bytes, sizeof(output->bytes));
    return output->error == 0;
}

bool output_end_line(struct output *output)
{
    text_add_char(&output->text, '\n');
    return output->text.len < OUTPUT_SIZE - OUTPUT_LINE_MAX || output_flush(output);
}

bool output_is_closed(void)
{
    struct pollfd standard = {.fd = STDOUT_FILENO};
    return poll(&standard, 1, 0) > 0 && (standard.revents & POLLERR) != 0;
}
