/* pcap.c: the capture tap: frames of both directions into a pcapng file
 * (draft-ietf-opsawg-pcapng: section header, one interface, enhanced packets, statistics).
 *
 * Called through link.c with the link's tap_lock held.
 *   1. Only whole blocks enter the buffer, and the buffer is written in order, so a file is well
 *      formed up to its last write whatever happens.
 *   2. Every batch ends with one write: a crash loses nothing, and a FIFO's reader sees it at once.
 *   3. While the block of a received frame is open nothing else is put, and nothing written.
 *   4. What does not fit because the file takes no more is counted, never waited for.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "link/pcap.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (1u << 20)
#define SNAP (256u << 10) /* above any frame of a link */
#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW 101
#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET 6u
#define PACKET_FIXED 28u /* type, length, interface, time stamp, captured, original length */
#define PACKET_TAIL 16u  /* flags option, end of options, length again */
#define COMMENT_ROOM (4 + PCAP_COMMENT_MAX)
#define DIRECTION_IN 1u
#define DIRECTION_OUT 2u

struct pcap {
    struct alloc alloc;
    int fd;
    bool failed;          /* a write failed for good: the file ends here */
    bool tied;            /* wall_offset is known */
    uint64_t wall_offset; /* wall clock - stack's clock, ns; modulo 2^64 */
    uint64_t last;        /* time of the last frame, wall clock */
    uint64_t seen, missed;
    bool is_open; /* the block of a received frame at `open` waits for its comment */
    uint32_t open;
    uint32_t start, end; /* of what is buffered */
    uint8_t *buffer;
};

static void put(struct pcap *p, const void *data, uint32_t len)
{
    memcpy(p->buffer + p->end, data, len);
    p->end += len;
}

static void put32(struct pcap *p, uint32_t v) { put(p, &v, sizeof v); }

static void put_padding(struct pcap *p, uint32_t len)
{
    const uint8_t zero[4] = {0};
    put(p, zero, -len & 3u);
}

static void put_option(struct pcap *p, uint16_t code, const void *value, uint16_t len)
{
    put(p, &code, sizeof code);
    put(p, &len, sizeof len);
    if (len != 0)
        put(p, value, len);
    put_padding(p, len);
}

static uint32_t block_begin(struct pcap *p, uint32_t type)
{
    uint32_t at = p->end;
    put32(p, type);
    put32(p, 0);
    return at;
}

static void block_end(struct pcap *p, uint32_t at)
{
    uint32_t total = p->end - at + 4;
    memcpy(p->buffer + at + 4, &total, sizeof total);
    put32(p, total);
}

/* As much as the file takes now. */
static void buffer_write(struct pcap *p)
{
    while (p->start < p->end && !p->failed) {
        ssize_t n = write(p->fd, p->buffer + p->start, p->end - p->start);
        if (n > 0)
            p->start += (uint32_t)n;
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 && errno != EAGAIN && errno != ENOSPC)
            p->failed = true;
        else
            break;
    }
    if (p->start != 0) {
        memmove(p->buffer, p->buffer + p->start, p->end - p->start);
        p->end -= p->start;
        p->start = 0;
    }
}

static bool buffer_has_room(struct pcap *p, uint32_t len)
{
    if (len > BUFFER - p->end)
        buffer_write(p);
    return !p->failed && len <= BUFFER - p->end;
}

static void put_header(struct pcap *p, const char *if_name, enum link_medium medium)
{
    const char application[] = "usertcp";
    const uint8_t nanoseconds = 9;
    const uint64_t unknown_length = UINT64_MAX;
    const uint16_t version[2] = {1, 0};

    uint32_t at = block_begin(p, BLOCK_SECTION);
    put32(p, 0x1a2b3c4d);
    put(p, version, sizeof version);
    put(p, &unknown_length, sizeof unknown_length);
    put_option(p, 4, application, sizeof application - 1);
    put_option(p, 0, NULL, 0);
    block_end(p, at);

    const uint16_t link_type[2] = {medium == LINK_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW, 0};
    at = block_begin(p, BLOCK_INTERFACE);
    put(p, link_type, sizeof link_type);
    put32(p, SNAP);
    put_option(p, 2, if_name, (uint16_t)strlen(if_name));
    put_option(p, 9, &nanoseconds, 1);
    put_option(p, 0, NULL, 0);
    block_end(p, at);
}

struct pcap *pcap_open(const char *path, const char *if_name, enum link_medium medium)
{
    /* O_NONBLOCK: a slow reader of a FIFO must not hold up the stack. */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0644);
    if (fd < 0)
        return NULL;
    struct alloc a;
    alloc_init(&a, 0);
    struct pcap *p = alloc_get(&a, sizeof *p);
    uint8_t *buffer = p != NULL ? alloc_map(&a, BUFFER) : NULL;
    if (buffer == NULL) {
        alloc_put(&a, p, sizeof *p);
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    p->alloc = a;
    p->fd = fd;
    p->buffer = buffer;
    put_header(p, if_name, medium);
    buffer_write(p);
    return p;
}

static uint64_t wall_time(struct pcap *p, ns_t now)
{
    if (!p->tied) { /* at the first frame, so that a stack on a virtual clock has sane dates too */
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        p->wall_offset = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec - now;
        p->tied = true;
    }
    p->last = p->wall_offset + now;
    return p->last;
}

/* The fixed part of a packet block; the caller adds `captured` bytes and packet_end. False: no
 * room, counted. */
static bool packet_begin(struct pcap *p, uint32_t captured, uint32_t len, uint64_t at,
                         uint32_t *block)
{
    p->seen++;
    if (!buffer_has_room(p, PACKET_FIXED + captured + 3 + COMMENT_ROOM + PACKET_TAIL)) {
        p->missed++;
        return false;
    }
    *block = block_begin(p, BLOCK_PACKET);
    put32(p, 0); /* interface */
    put32(p, (uint32_t)(at >> 32));
    put32(p, (uint32_t)at);
    put32(p, captured);
    put32(p, len);
    return true;
}

/* After the frame's bytes and their padding. */
static void packet_end(struct pcap *p, uint32_t direction, uint32_t block)
{
    put_option(p, 2, &direction, sizeof direction);
    put_option(p, 0, NULL, 0);
    block_end(p, block);
}

bool pcap_begin_in(struct pcap *p, const struct link_frame *f, ns_t now)
{
    uint32_t captured = u32_min(f->len, SNAP);
    /* How much of a truncated frame was lost is not known; one byte says that some was. */
    uint32_t len = f->len + (f->offload.flags & LINK_TRUNCATED ? 1 : 0);
    pcap_end_in(p, NULL);
    p->is_open = packet_begin(p, captured, len, wall_time(p, now), &p->open);
    if (p->is_open) {
        put(p, f->data, captured);
        put_padding(p, captured);
    }
    return p->is_open;
}

void pcap_end_in(struct pcap *p, const char *comment)
{
    if (!p->is_open)
        return;
    if (comment != NULL)
        put_option(p, 1, comment, (uint16_t)u32_min((uint32_t)strlen(comment), PCAP_COMMENT_MAX));
    packet_end(p, DIRECTION_IN, p->open);
    p->is_open = false;
}

void pcap_write(struct pcap *p)
{
    pcap_end_in(p, NULL);
    buffer_write(p);
}

int pcap_write_out(struct pcap *p, const struct link_out *frames, int count, ns_t now)
{
    uint64_t at = wall_time(p, now), before = p->missed;
    pcap_end_in(p, NULL);
    for (int i = 0; i < count; i++) {
        const struct link_out *o = &frames[i];
        uint32_t len = link_out_len(o), captured = u32_min(len, SNAP), block, left = captured;
        if (!packet_begin(p, captured, len, at, &block))
            continue;
        const uint8_t *parts[3] = {o->head, o->body[0], o->body[1]};
        const uint32_t lens[3] = {o->head_len, o->body_len[0], o->body_len[1]};
        for (int k = 0; k < 3 && left != 0; k++) {
            uint32_t take = u32_min(lens[k], left);
            if (take != 0)
                put(p, parts[k], take);
            left -= take;
        }
        put_padding(p, captured);
        packet_end(p, DIRECTION_OUT, block);
    }
    buffer_write(p);
    return (int)(p->missed - before);
}

static void put_statistics(struct pcap *p)
{
    uint32_t at = block_begin(p, BLOCK_STATISTICS);
    put32(p, 0); /* interface */
    put32(p, (uint32_t)(p->last >> 32));
    put32(p, (uint32_t)p->last);
    put_option(p, 4, &p->seen, sizeof p->seen);
    put_option(p, 5, &p->missed, sizeof p->missed);
    put_option(p, 0, NULL, 0);
    block_end(p, at);
}

void pcap_close(struct pcap *p)
{
    pcap_end_in(p, NULL);
    if (buffer_has_room(p, 64))
        put_statistics(p);
    buffer_write(p);
    close(p->fd);
    struct alloc a = p->alloc;
    alloc_unmap(&a, p->buffer, BUFFER);
    alloc_put(&a, p, sizeof *p);
}
