/* transfer.h: what a user does with a connection while it lives: send, receive, options.
 */
#ifndef UT_STACK_TRANSFER_H
#define UT_STACK_TRANSFER_H

#include "stack/conn.h"

/* Where received bytes may go: ut_recv's arguments. */
struct transfer_to {
    void *to;
    size_t cap, max;
};

/* As the ut_ calls of these names. */
int64_t transfer_send(ut_stack *s, struct conn *c, const void *data, size_t len);
int64_t transfer_receive(ut_stack *s, struct conn *c, const struct transfer_to *to, ut_span *lent);
int transfer_receive_done(ut_stack *s, struct conn *c, size_t len);
int transfer_receive_keep(ut_stack *s, struct conn *c, void *memory, size_t size);
int transfer_option_set(ut_stack *s, struct conn *c, int option, int64_t value);
int transfer_option_get(const struct conn *c, int option, int64_t *value);

#endif
