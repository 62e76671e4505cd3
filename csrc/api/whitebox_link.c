/* whitebox_link.c: the seam through which tests/link reaches link/; never in the shipped module. */
#include "api/whitebox_link.h"

#include <stdlib.h>

#include "api/links.h"

struct wb_frames {
    struct link_frame at[LINK_BATCH];
};

struct wb_frames *wb_frames_new(void)
{
    struct wb_frames *f = calloc(1, sizeof *f);
    UT_ASSERT(f != NULL);
    return f;
}

void wb_frames_free(struct wb_frames *f) { free(f); }

int wb_link_recv(ut_link *l, struct wb_frames *f, int max)
{
    UT_ASSERT(max <= LINK_BATCH);
    struct link *inner = ut_link_inner(l);
    int count = link_recv(inner, f->at, max);
    for (int i = 0; i < count && link_is_tapped(inner); i++)
        link_tap_in(inner, &f->at[i]);
    link_tap_write(inner);
    return count;
}

uint32_t wb_frame(const struct wb_frames *f, int i, const uint8_t **data, ut_offload *offload)
{
    const struct link_offload *o = &f->at[i].offload;
    *data = f->at[i].data;
    *offload = (ut_offload){
        .flags = o->flags,
        .gso = o->gso,
        .gso_size = o->gso_size,
        .csum_start = o->csum_start,
        .csum_offset = o->csum_offset,
        .header_len = o->header_len,
    };
    return f->at[i].len;
}

void wb_link_queue(ut_link *l, const uint8_t *frame, uint32_t len, uint32_t head_len,
                   const ut_offload *offload)
{
    struct link_out *o = link_reserve(ut_link_inner(l));
    UT_ASSERT(head_len <= LINK_HEADROOM && head_len <= len);
    memcpy(o->head, frame, head_len);
    o->head_len = head_len;
    o->body_len[0] = (len - head_len + 1) / 2;
    o->body_len[1] = len - head_len - o->body_len[0];
    o->body[0] = frame + head_len;
    o->body[1] = frame + head_len + o->body_len[0];
    o->offload = (struct link_offload){
        .flags = offload->flags,
        .gso = offload->gso,
        .gso_size = offload->gso_size,
        .csum_start = offload->csum_start,
        .csum_offset = offload->csum_offset,
        .header_len = offload->header_len,
    };
}

int wb_link_flush(ut_link *l) { return link_flush(ut_link_inner(l)); }
void wb_link_set_now(ut_link *l, uint64_t now) { ut_link_inner(l)->now = now; }
