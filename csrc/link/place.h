/* place.h: where a received frame lies: in one piece in the link's slot, or its text apart, in a
 * buffer that the user posted (base/posted.h).
 *
 *      slot     |--- head ---|        room for the text        |
 *      posted                |------------- text --------------|
 *
 * Where the text begins is a guess, l->split, from the frames before; link_join undoes it.
 */
#ifndef UT_LINK_PLACE_H
#define UT_LINK_PLACE_H

#include <sys/uio.h>

#include "link/link.h"

#define PLACE_PARTS 3

struct place {
    uint8_t *slot;
    uint32_t size;
    uint32_t head;  /* l->split when it was placed */
    uint8_t posted; /* number of the buffer; 0: all of the frame goes into the slot */
};

/* The buffers that frames of this call may go to, as bits; 0: none, or nothing is known of what
 * will come. */
static inline uint32_t place_free(const struct link *l)
{
    return l->split != 0 ? l->posted->free : 0;
}
/* Places the next frame, into the first of the buffers *free if there is one, which is taken from
 * *free. Sets up to PLACE_PARTS parts of iov; returns how many. */
int place_next(const struct link *l, struct place *at, uint32_t *free, struct iovec *iov);
/* A frame of `len` bytes has been received there: sets its data, len, head and posted. */
void place_received(const struct link *l, const struct place *at, uint32_t len,
                    struct link_frame *f);
/* For links that lend frames in one piece: copies text that fills the first of *free into it, so
 * that it is copied once and not twice. *free is not 0, f->posted is. */
void place_copied(const struct link *l, uint32_t *free, struct link_frame *f);

#endif
