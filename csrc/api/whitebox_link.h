/* whitebox_link.h: link_recv, link_reserve and link_flush without a stack, for tests/link only. */
#ifndef UT_API_WHITEBOX_LINK_H
#define UT_API_WHITEBOX_LINK_H

#include "include/usertcp_link.h"

/* CDEF BEGIN */

/* One link_recv: the frames stay in *l until the next call. As link_recv returns. */
struct wb_frames;
struct wb_frames *wb_frames_new(void);
void wb_frames_free(struct wb_frames *f);
int wb_link_recv(ut_link *l, struct wb_frames *f, int max);
uint32_t wb_frame(const struct wb_frames *f, int i, const uint8_t **data, ut_offload *offload);
/* Reserves a frame: its first `head_len` bytes are copied, the rest goes as two bodies and must
 * stay until wb_link_flush, which returns what link_flush does. */
void wb_link_queue(ut_link *l, const uint8_t *frame, uint32_t len, uint32_t head_len,
                   const ut_offload *offload);
int wb_link_flush(ut_link *l);
void wb_link_set_now(ut_link *l, uint64_t now);

/* CDEF END */

#endif
