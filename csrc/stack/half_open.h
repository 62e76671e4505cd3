/* half_open.h: connections before their third segment, in at most 96 bytes (RFC 4987 3.4).
 *
 * An entry is in the demux and on the deadline heap; it is SYN-RECEIVED for whoever looks.
 */
#ifndef UT_STACK_HALF_OPEN_H
#define UT_STACK_HALF_OPEN_H

#include "stack/listen.h"

struct half_open {
    struct flow_key key; /* owners: listener index << 8 | SYN,ACKs sent again */
    struct deadline_node timer;
    struct tcp_half half;
};

static inline uint32_t half_open_listener(const struct half_open *h) { return h->key.owners >> 8; }
static inline bool half_open_is_live(const struct half_open *h) { return h->key.lport != 0; }

/* What a passive open begins with. `isn_after`: of the connection before it, or NULL. */
struct tcp_start half_open_start(ut_stack *s, const struct flow_key *key, const seq32 *isn_after);
/* Another SYN may have an entry. */
bool half_open_has_room(const ut_stack *s, const struct listener *l);
/* An acceptable SYN: makes an entry and answers. False: no room. */
bool half_open_begin(ut_stack *s, struct rx *rx, struct listener *l, const seq32 *isn_after);
/* A segment for entry `index`. */
void half_open_arrive(ut_stack *s, struct rx *rx, uint32_t index);
void half_open_timeout(ut_stack *s, struct deadline_node *node);
/* Resets (or just forgets) all entries of a listener that goes away. */
void half_open_drop_all(ut_stack *s, const struct listener *l);
void half_open_free(ut_stack *s, uint32_t index);
/* Gives the entry up without touching the demux, where something else stands now. */
void half_open_release(ut_stack *s, uint32_t index);

#endif
