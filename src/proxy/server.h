/* The server process: takes listeners and configuration from the supervisor, runs the workers, and keeps them in touch with the journal. */
#ifndef EXEAT_PROXY_SERVER_H
#define EXEAT_PROXY_SERVER_H

/* Runs on the channel that the supervisor gave; returns the exit code: 0 after an orderly stop or when the supervisor is gone. */
int server_run(int channel);

#endif
