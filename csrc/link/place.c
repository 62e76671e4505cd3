/* place.c: received text straight into the user's memory.
 *
 * Called by the links around their system calls. A frame that is not what was expected costs one
 * copy, into the slot: what every frame would cost without this.
 */
#include "link/place.h"

int place_next(const struct link *l, struct place *at, uint32_t *free, struct iovec *iov)
{
    at->posted = 0;
    if (*free != 0) {
        const uint32_t number = (uint32_t)__builtin_ctz(*free) + 1;
        const struct posted_buffer *b = posted_at(l->posted, number);
        *free &= *free - 1;
        if (l->split + b->size < at->size) {
            at->posted = (uint8_t)number;
            at->head = l->split;
            const uint32_t behind = at->head + b->size;
            iov[0] = (struct iovec){at->slot, at->head};
            iov[1] = (struct iovec){b->memory, b->size};
            iov[2] = (struct iovec){at->slot + behind, at->size - behind};
            return 3;
        }
    }
    iov[0] = (struct iovec){at->slot, at->size};
    return 1;
}

void place_received(const struct link *l, const struct place *at, uint32_t len,
                    struct link_frame *f)
{
    f->data = at->slot;
    f->len = len;
    f->head = at->head;
    f->posted = at->posted;
    if (at->posted == 0)
        return;
    if (len <= at->head)
        f->posted = 0;
    else if (len - at->head > posted_at(l->posted, at->posted)->size)
        link_join(l, f); /* longer than the buffer: its end is in the slot */
}

void place_copied(const struct link *l, uint32_t *free, struct link_frame *f)
{
    const uint32_t number = (uint32_t)__builtin_ctz(*free) + 1;
    const struct posted_buffer *b = posted_at(l->posted, number);
    if (f->len != l->split + b->size)
        return;
    memcpy(b->memory, f->data + l->split, b->size);
    f->head = l->split;
    f->posted = (uint8_t)number;
    *free &= *free - 1;
}
