/* An audit file read while it is written: over rotations, and over what cuts it. */
#ifndef EXEAT_AUDIT_AUDIT_FOLLOW_H
#define EXEAT_AUDIT_AUDIT_FOLLOW_H

#include "audit/audit_input.h"

/* So often it is asked again where records are missing between two files: the one that holds them may be in the middle of being packed. */
#define AUDIT_FOLLOW_LOOKS 5

struct audit_follow;

/* `path` is kept, not copied; the file need not be there yet. `after` is the last record that was read already, 0: none. NULL: out of memory. */
struct audit_follow *audit_follow_new(const char *path, uint64_t after);
void audit_follow_free(struct audit_follow *follow);

/* The next whole line. AUDIT_INPUT_END: there is none now, ask again in a while. A file that was renamed is read to its end when there is a byte in
 * the one that the path names then; files between the two, when it was rotated more than once, are found by their first record. A file whose end was
 * cut off goes on there, one that was emptied or written anew at its beginning. */
enum audit_input_result audit_follow_next(struct audit_follow *follow, struct audit_input_line *out);

/* The number of the record that was in the last line. */
void audit_follow_set_seq(struct audit_follow *follow, uint64_t seq);

/* The file that the last line was in, and why the last call failed; valid until the next one. */
const char *audit_follow_path(const struct audit_follow *follow);
const char *audit_follow_fault(const struct audit_follow *follow);

#endif
