/* posted.c: the user's memory for received text; posted.h has the life of a buffer.
 *
 * Called by api/ (give), link/place (into which ones) and tcp/reasm (hold, release).
 */
#include "base/posted.h"

/* So many more texts of one length make it the one wanted first; and, later, instead of another:
 * two lengths in turn must not do so all the time. */
#define VOTES_FIRST 8u
#define VOTES_MOST 64u

static uint32_t bit(uint32_t number) { return 1u << (number - 1); }

void posted_init(struct posted *p) { *p = (struct posted){.worth = POSTED_WORTH}; }

bool posted_give(struct posted *p, uint32_t number, void *memory, size_t size)
{
    if (number - 1 >= POSTED_MAX || !posted_fits(size))
        return false;
    struct posted_buffer *b = posted_at(p, number);
    if (b->memory != NULL && !posted_is_free(p, number))
        return false;
    *b = (struct posted_buffer){.memory = memory, .size = (uint32_t)size};
    p->free &= ~bit(number);
    if (memory != NULL) {
        p->free |= bit(number);
        p->worth = u32_max(1, u32_min(p->worth, b->size / 2));
        p->want = p->want == 0 ? b->size : p->want;
    }
    return true;
}

void posted_saw(struct posted *p, uint32_t len)
{
    if (len < p->worth)
        return;
    if (len == p->usual)
        p->votes = u32_min(p->votes + 1, VOTES_MOST);
    else if (p->votes > 0)
        p->votes--;
    else
        p->usual = len;
    if (p->votes >= (p->want == 0 ? VOTES_FIRST : VOTES_MOST))
        p->want = u32_min(p->usual, POSTED_SIZE_MAX);
}

void posted_hold(struct posted *p, uint32_t number, uint64_t offset)
{
    struct posted_buffer *b = posted_at(p, number);
    UT_ASSERT(posted_is_free(p, number));
    p->free &= ~bit(number);
    b->offset = offset;
    b->next = 0;
}

void posted_release(struct posted *p, uint32_t number)
{
    UT_ASSERT(posted_at(p, number)->memory != NULL && !posted_is_free(p, number));
    p->free |= bit(number);
}
