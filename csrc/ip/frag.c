/* frag.c: see frag.h. Called by stack/ingress.c with fragments and by the deadline heap.
 *
 * DEVIATES RFC 8200 4.5: no Parameter Problem and no Time Exceeded is sent, because whoever forges
 * fragments would choose where they go, and no sender of TCP does anything with them.
 */
#include "ip/frag.h"

#define FRAG_MAX_LEN 65535u
#define FRAG_FIRST_SIZE 2048u
#define FRAG_TCP_HEADER 20u
#define FRAG_ICMP_HEADER 8u
#define ECN_CE 3

void frag_init(struct frag *f, struct alloc *a) { *f = (struct frag){.alloc = a}; }

static void frag_free_data(struct frag *f, struct frag_datagram *d)
{
    alloc_put(f->alloc, d->data, d->capacity);
    f->bytes -= d->capacity;
    d->data = NULL;
    d->capacity = 0;
}

static void frag_free(struct frag *f, struct frag_datagram *d)
{
    frag_free_data(f, d);
    d->version = 0;
}

void frag_fini(struct frag *f)
{
    for (uint32_t i = 0; f->datagram != NULL && i < FRAG_DATAGRAMS; i++)
        frag_free(f, &f->datagram[i]);
    alloc_put(f->alloc, f->datagram, FRAG_DATAGRAMS * sizeof *f->datagram);
    f->datagram = NULL;
}

static bool frag_is_of(const struct frag_datagram *d, const struct ip_hdr *ip)
{
    /* RFC 791 3.2: the protocol is part of the name; RFC 8200 4.5: of IPv6 it is not. */
    return d->version == ip->version && d->id == ip->fragment_id &&
           (ip->version == 6 || d->proto == ip->proto) && ipaddr_equal(&d->src, &ip->src) &&
           ipaddr_equal(&d->dst, &ip->dst);
}

/* The one that waits longest, spared `but`; NULL when none does. */
static struct frag_datagram *frag_oldest(struct frag *f, const struct frag_datagram *but,
                                         bool with_data)
{
    struct frag_datagram *oldest = NULL;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        struct frag_datagram *d = &f->datagram[i];
        if (d->version == 0 || d == but || (with_data && d->capacity == 0))
            continue;
        if (oldest == NULL || d->due < oldest->due)
            oldest = d;
    }
    return oldest;
}

static struct frag_datagram *frag_find(struct frag *f, const struct ip_hdr *ip)
{
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        if (frag_is_of(&f->datagram[i], ip))
            return &f->datagram[i];
    return NULL;
}

static struct frag_datagram *frag_begin(struct frag *f, const struct ip_hdr *ip, ns_t now,
                                        uint64_t *drops)
{
    struct frag_datagram *d = NULL;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS && d == NULL; i++)
        if (f->datagram[i].version == 0)
            d = &f->datagram[i];
    if (d == NULL) {
        d = frag_oldest(f, NULL, false);
        frag_free(f, d);
        drops[DROP_ip_fragment_room]++;
    }
    *d = (struct frag_datagram){.src = ip->src,
                                .dst = ip->dst,
                                .id = ip->fragment_id,
                                .version = ip->version,
                                .proto = ip->proto,
                                .due = time_after(now, FRAG_LIFE)};
    ranges_init(&d->held, d->runs, FRAG_RUNS, NULL);
    return d;
}

/* Room for `end` bytes, at the cost of older datagrams if need be. */
static bool frag_grow(struct frag *f, struct frag_datagram *d, uint32_t end, uint64_t *drops)
{
    uint32_t capacity = d->capacity > 0 ? d->capacity : FRAG_FIRST_SIZE;
    while (capacity < end)
        capacity *= 2;
    if (capacity == d->capacity)
        return true;
    struct frag_datagram *oldest;
    while (f->bytes + capacity > FRAG_BYTES && (oldest = frag_oldest(f, d, true)) != NULL) {
        frag_free(f, oldest);
        drops[DROP_ip_fragment_room]++;
    }
    uint8_t *data = alloc_get(f->alloc, capacity);
    if (data == NULL)
        return false;
    if (d->capacity > 0)
        memcpy(data, d->data, d->capacity);
    frag_free_data(f, d);
    d->data = data;
    d->capacity = capacity;
    f->bytes += capacity;
    return true;
}

/* What no honest sender does with this datagram. */
static bool frag_contradicts(const struct frag_datagram *d, const struct ip_hdr *ip)
{
    uint32_t lo = ip->fragment_offset, hi = lo + ip->payload_len;
    uint32_t held = d->held.count > 0 ? (uint32_t)d->held.run[d->held.count - 1].hi : 0;
    if (!ip->more_fragments && ((d->len != 0 && d->len != hi) || held > hi))
        return true;
    if (ip->more_fragments && d->len != 0 && hi >= d->len)
        return true;
    if (lo == 0 && ip->proto != d->proto && ip->version == 4)
        return true;
    uint32_t header = ip->proto == IP_PROTO_TCP ? FRAG_TCP_HEADER : FRAG_ICMP_HEADER;
    return lo == 0 && ip->payload_len < header;
}

/* The very same bytes once more: a duplicate of the network's, which RFC 8200 4.5 lets pass. */
static bool frag_is_again(const struct frag_datagram *d, const struct ip_hdr *ip)
{
    uint32_t lo = ip->fragment_offset;
    return ranges_covers(&d->held, lo, lo + ip->payload_len) &&
           memcmp(d->data + lo, ip->payload, ip->payload_len) == 0;
}

static void frag_note(struct frag_datagram *d, const struct ip_hdr *ip)
{
    if (ip->fragment_offset == 0)
        d->proto = ip->proto; /* RFC 8200 4.5: the first one's counts */
    if (!ip->more_fragments)
        d->len = ip->fragment_offset + ip->payload_len;
    d->has_ce |= (ip->dscp_ecn & ECN_CE) == ECN_CE;
    d->has_not_ect |= (ip->dscp_ecn & ECN_CE) == 0;
}

static enum frag_result frag_spoil(struct frag *f, struct frag_datagram *d, uint64_t *drops)
{
    frag_free_data(f, d);
    d->is_spoiled = true;
    drops[DROP_ip_fragment]++;
    return FRAG_DROPPED;
}

static enum frag_result frag_put(struct frag *f, struct frag_datagram *d, struct ip_hdr *ip,
                                 uint64_t *drops)
{
    uint32_t lo = ip->fragment_offset, hi = lo + ip->payload_len;
    if (d->is_spoiled || frag_contradicts(d, ip))
        return frag_spoil(f, d, drops);
    if (ranges_touches(&d->held, lo, hi))
        return frag_is_again(d, ip) ? FRAG_WAITS : frag_spoil(f, d, drops);
    if (!frag_grow(f, d, hi, drops) || !ranges_add(&d->held, lo, hi)) {
        frag_free(f, d);
        drops[DROP_ip_fragment_room]++;
        return FRAG_DROPPED;
    }
    memcpy(d->data + lo, ip->payload, ip->payload_len);
    frag_note(d, ip);
    if (d->len == 0 || !ranges_covers(&d->held, 0, d->len))
        return FRAG_WAITS;
    if (d->has_ce && d->has_not_ect) /* RFC 3168 5.3: a mark must not be lost, nor made up */
        return frag_spoil(f, d, drops);
    f->whole = d;
    ip->proto = d->proto;
    ip->is_fragment = ip->more_fragments = false;
    ip->fragment_offset = 0;
    ip->payload = d->data;
    ip->payload_len = d->len;
    ip->dscp_ecn |= d->has_ce ? ECN_CE : 0;
    return FRAG_WHOLE;
}

enum frag_result frag_add(struct frag *f, struct ip_hdr *ip, ns_t now, uint64_t *drops)
{
    uint32_t end = ip->fragment_offset + ip->payload_len;
    /* RFC 8200 4.5: eight octets are the unit of all but the last; none reaches beyond 65,535. */
    if (ip->payload_len == 0 || (ip->more_fragments && ip->payload_len % 8 != 0) ||
        end + (ip->version == 4 ? 20 : 0) > FRAG_MAX_LEN) {
        drops[DROP_ip_fragment]++;
        return FRAG_DROPPED;
    }
    if (f->datagram == NULL)
        f->datagram = alloc_get(f->alloc, FRAG_DATAGRAMS * sizeof *f->datagram);
    if (f->datagram == NULL) {
        drops[DROP_ip_fragment_room]++;
        return FRAG_DROPPED;
    }
    if (f->whole != NULL)
        frag_free(f, f->whole);
    f->whole = NULL;
    struct frag_datagram *d = frag_find(f, ip);
    return frag_put(f, d != NULL ? d : frag_begin(f, ip, now, drops), ip, drops);
}

void frag_expire(struct frag *f, ns_t now, uint64_t *drops)
{
    for (uint32_t i = 0; f->datagram != NULL && i < FRAG_DATAGRAMS; i++) {
        struct frag_datagram *d = &f->datagram[i];
        if (d->version == 0 || d->due > now)
            continue;
        if (!d->is_spoiled && d != f->whole)
            drops[DROP_ip_fragment_late]++;
        if (d == f->whole)
            f->whole = NULL;
        frag_free(f, d);
    }
}

ns_t frag_next(const struct frag *f)
{
    ns_t next = TIME_NEVER;
    for (uint32_t i = 0; f->datagram != NULL && i < FRAG_DATAGRAMS; i++)
        if (f->datagram[i].version != 0)
            next = u64_min(next, f->datagram[i].due);
    return next;
}
