/* posted.h: memory the user posts for received text, so that it becomes his without a copy.
 *
 *      posted_give     the user's memory           -> free
 *      link/place      frames are received into the first free ones
 *      posted_hold     text in order, unread       free -> held, by one connection
 *      posted_release  read, or nobody will        held -> free
 *
 *   1. a buffer is not given (`memory` NULL), free (its bit is set), or held
 *   2. what lies in a free one means something until the link receives again
 *   3. the held ones of a connection are linked through `next` in the order of their offsets
 *
 * Buffers go by number: their index and one, so that 0 means none.
 */
#ifndef UT_BASE_POSTED_H
#define UT_BASE_POSTED_H

#include "base/base.h"

#define POSTED_MAX 31u
#define POSTED_NUMBER 31u      /* the bits of a number */
#define POSTED_SIZE_MAX 65536u /* no text is longer */
#define POSTED_WORTH 16384u    /* text below this is as cheaply copied */

struct posted_buffer {
    uint8_t *memory;
    uint64_t offset; /* in the stream, of its text; while held */
    uint32_t size;
    uint8_t next;
};

struct posted {
    struct posted_buffer buffer[POSTED_MAX];
    uint32_t free;         /* bits by index: the lowest is used first, and so is the warmest */
    uint32_t worth;        /* text of this length is worth a buffer */
    uint32_t want;         /* the size that buffers should have; 0: none are needed yet */
    uint32_t usual, votes; /* the length that most texts have, and by how many more */
};

void posted_init(struct posted *p);
static inline struct posted_buffer *posted_at(struct posted *p, uint32_t number)
{
    UT_ASSERT(number - 1 < POSTED_MAX);
    return &p->buffer[number - 1];
}
static inline bool posted_is_free(const struct posted *p, uint32_t number)
{
    return (p->free >> (number - 1) & 1u) != 0;
}
static inline bool posted_fits(size_t size) { return size != 0 && size <= POSTED_SIZE_MAX; }
/* Buffer `number` is this memory from now on; NULL takes it back. False: it is held, or the number
 * or the size is out of range. */
bool posted_give(struct posted *p, uint32_t number, void *memory, size_t size);
/* Text of this length came, perhaps elsewhere. Only text that fills its buffer can stay there, so
 * `want` is the length that most have. */
void posted_saw(struct posted *p, uint32_t len);
/* A free buffer is full of text from `offset` on. */
void posted_hold(struct posted *p, uint32_t number, uint64_t offset);
void posted_release(struct posted *p, uint32_t number);

#endif
