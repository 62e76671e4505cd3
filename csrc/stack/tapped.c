/* tapped.c: called by poll.c instead of ingress_frame while the link has a tap.
 *
 * That a frame was dropped shows in the counters of drops.def: who drops need not know of captures,
 * and without one nothing is done for them.
 */
#include "stack/tapped.h"

#include "stack/ingress.h"

static const char *const tapped_comments[DROP_COUNT] = {
#define UT_DROP(name, sentence) [DROP_##name] = "dropped: " #name ": " sentence,
#include "base/drops.def"
#undef UT_DROP
};

/* The first reason that was counted since `before`; NULL: none was. */
static const char *tapped_why(const ut_stack *s, const uint64_t before[DROP_COUNT])
{
    for (int why = 0; why < DROP_COUNT; why++)
        if (s->env.drops[why] != before[why])
            return tapped_comments[why];
    return NULL;
}

void tapped_frames(ut_stack *s, struct link_frame *frames, int count)
{
    uint64_t before[DROP_COUNT];
    for (int i = 0; i < count; i++) {
        /* So that a frame's own answers do not fill the batch: what leaves ends its block. */
        if (s->link->out_count > LINK_BATCH / 2)
            link_flush(s->link);
        link_join(s->link, &frames[i]); /* for its bytes, one after the other */
        memcpy(before, s->env.drops, sizeof before);
        link_tap_in(s->link, &frames[i]);
        ingress_frame(s, &frames[i]);
        link_tap_said(s->link, tapped_why(s, before));
    }
    link_tap_write(s->link);
}
