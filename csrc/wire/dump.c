/* dump.c: segments as one line of text, for the trace of a connection and for failing tests.
 *
 * Never on the way of a byte: only when someone asked to see.
 */
#include "wire/dump.h"

#include <stdarg.h>
#include <stdio.h>

/* Text that grows up to its capacity and then stays: at[0..len] always ends in NUL. */
struct dump_text {
    char *at;
    size_t cap, len;
};

__attribute__((format(printf, 2, 3))) static void dump_put(struct dump_text *t, const char *format,
                                                           ...)
{
    if (t->cap == 0)
        return;
    size_t room = t->cap - t->len;
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(t->at + t->len, room, format, args);
    va_end(args);
    if (wanted > 0)
        t->len += (size_t)wanted < room ? (size_t)wanted : room - 1;
}

static void dump_put_flags(struct dump_text *t, uint16_t flags)
{
    /* ACK last, as the RFC's figures write it. */
    static const struct {
        uint16_t bit;
        const char *name;
    } names[] = {
        {TCP_SYN, "SYN"}, {TCP_FIN, "FIN"}, {TCP_RST, "RST"}, {TCP_PSH, "PSH"}, {TCP_URG, "URG"},
        {TCP_AE, "AE"},   {TCP_ECE, "ECE"}, {TCP_CWR, "CWR"}, {TCP_ACK, "ACK"},
    };
    const char *separator = "";
    for (size_t i = 0; i < UT_COUNTOF(names); i++) {
        if ((flags & names[i].bit) == 0)
            continue;
        dump_put(t, "%s%s", separator, names[i].name);
        separator = ",";
    }
    if (flags == 0)
        dump_put(t, ".");
}

static void dump_put_options(struct dump_text *t, const struct tcp_opts *o, seq32 ack_base)
{
    const char *separator = " <";
    if (o->has_mss) {
        dump_put(t, "%smss %u", separator, o->mss);
        separator = ",";
    }
    if (o->sack_permitted) {
        dump_put(t, "%ssackOK", separator);
        separator = ",";
    }
    if (o->has_ts) {
        dump_put(t, "%sts %u:%u", separator, o->ts_val, o->ts_ecr);
        separator = ",";
    }
    if (o->has_wscale) {
        dump_put(t, "%swscale %u", separator, o->wscale);
        separator = ",";
    }
    for (uint32_t i = 0; i < u32_min(o->sack_count, TCP_OPT_MAX_SACK); i++) {
        dump_put(t, i == 0 ? "%ssack %u:%u" : "%s%u:%u", i == 0 ? separator : " ",
                 o->sack[i].left.v - ack_base.v, o->sack[i].right.v - ack_base.v);
        separator = ",";
    }
    if (o->accecn != 0) {
        dump_put(t, "%saccecn%u", separator, o->accecn_order);
        for (uint32_t i = 0; i + 1 < u32_min(o->accecn, 4); i++)
            dump_put(t, " %u", o->accecn_field[i]);
        separator = ",";
    }
    if (separator[0] == ',')
        dump_put(t, ">");
}

size_t dump_flags(char *to, size_t cap, uint16_t flags)
{
    struct dump_text t = {to, cap, 0};
    dump_put_flags(&t, flags);
    return t.len;
}

size_t dump_tcp(char *to, size_t cap, const struct tcp_seg *s, seq32 seq_base, seq32 ack_base)
{
    struct dump_text t = {to, cap, 0};
    dump_put(&t, "seq=%u", s->seq.v - seq_base.v);
    if ((s->flags & TCP_ACK) != 0)
        dump_put(&t, " ack=%u", s->ack.v - ack_base.v);
    if (s->len != 0)
        dump_put(&t, " len=%u", s->len);
    dump_put(&t, " ");
    dump_put_flags(&t, s->flags);
    dump_put(&t, " win=%u", s->wnd);
    if ((s->flags & TCP_URG) != 0)
        dump_put(&t, " urp=%u", s->urp);
    dump_put_options(&t, &s->opt, ack_base);
    return t.len;
}
