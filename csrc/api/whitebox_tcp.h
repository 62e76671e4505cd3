/* whitebox_tcp.h: tcp/'s arithmetic, reassembly and scoreboard, for tests/unit only.
 *
 * What wb_*_new makes is ended by wb_*_free. Offsets are stream offsets as in tcp/reasm.h and
 * tcp/sack.h.
 */
#ifndef UT_API_WHITEBOX_TCP_H
#define UT_API_WHITEBOX_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CDEF BEGIN */
/* tcp/seq */
uint32_t wb_seq_add(uint32_t a, uint32_t n);
int32_t wb_seq_diff(uint32_t a, uint32_t b);
bool wb_seq_lt(uint32_t a, uint32_t b);
bool wb_seq_leq(uint32_t a, uint32_t b);
bool wb_seq_in(uint32_t s, uint32_t lo, uint32_t len);
uint32_t wb_seq_max(uint32_t a, uint32_t b);

/* tcp/reasm over a ring of `size` bytes, offering all but one of them */
struct wb_reasm;
struct wb_reasm *wb_reasm_new(uint32_t size);
void wb_reasm_free(struct wb_reasm *r);
/* A drop reason. [offset, offset + len) must lie within the window, not before `nxt`. */
int wb_reasm_insert(struct wb_reasm *r, uint64_t offset, const uint8_t *data, uint32_t len);
/* Buffer `number` becomes this memory; false: it is held. */
bool wb_reasm_post(struct wb_reasm *r, uint32_t number, uint8_t *memory, uint32_t size);
/* As wb_reasm_insert, of text that lies in buffer `number` already. */
int wb_reasm_insert_posted(struct wb_reasm *r, uint64_t offset, uint32_t number, uint32_t len);
bool wb_reasm_is_free(const struct wb_reasm *r, uint32_t number);
/* The buffer that has the next `len` readable bytes and no more, or 0. */
uint32_t wb_reasm_whole(struct wb_reasm *r, uint32_t len);
uint32_t wb_reasm_take(struct wb_reasm *r, uint8_t *to, uint32_t max);
uint32_t wb_reasm_peek(struct wb_reasm *r, uint32_t max, uint8_t **at);
void wb_reasm_consume(struct wb_reasm *r, uint32_t len);
uint64_t wb_reasm_nxt(const struct wb_reasm *r);
uint32_t wb_reasm_window(const struct wb_reasm *r);
bool wb_reasm_has_memory(const struct wb_reasm *r);

/* tcp/sack and tcp/recovery: a sender with bytes [una, nxt) in flight */
struct wb_sender;
struct wb_sender *wb_sender_new(uint32_t iss, uint32_t flight, uint32_t mss);
void wb_sender_free(struct wb_sender *s);
/* SACK blocks as pairs of offsets; true when they told something new. */
bool wb_sender_sacked(struct wb_sender *s, const uint64_t *pairs, uint32_t blocks);
void wb_sender_acked(struct wb_sender *s, uint64_t una);
/* The same for the scoreboard alone: no recovery begins or ends. */
void wb_sender_advanced(struct wb_sender *s, uint64_t una);
/* A duplicate ACK, so that recovery may begin. */
void wb_sender_duplicate(struct wb_sender *s, bool news);
void wb_sender_set_cwnd(struct wb_sender *s, uint32_t cwnd);
void wb_sender_timed_out(struct wb_sender *s);
uint64_t wb_sender_lost_edge(const struct wb_sender *s);
uint64_t wb_sender_sacked_in(const struct wb_sender *s, uint64_t lo, uint64_t hi);
uint64_t wb_sender_highest(const struct wb_sender *s);
uint32_t wb_sender_pipe(const struct wb_sender *s);
int wb_sender_mode(const struct wb_sender *s);
uint64_t wb_sender_high_rxt(const struct wb_sender *s);
uint64_t wb_sender_recovery_point(const struct wb_sender *s);
/* RACK (tcp/rack.h): the sender begins with nothing in flight, and `send` puts bytes there. */
void wb_sender_use_rack(struct wb_sender *s, uint64_t srtt_ns, uint64_t rtt_min_ns);
void wb_sender_at(struct wb_sender *s, uint64_t now_ns);
void wb_sender_send(struct wb_sender *s, uint32_t bytes);
/* RACK_detect_loss(); true: some was found. */
bool wb_sender_detect(struct wb_sender *s);
bool wb_sender_is_lost(const struct wb_sender *s, uint64_t offset);
/* [lo, hi) is sent again now. */
void wb_sender_resend(struct wb_sender *s, uint64_t lo, uint64_t hi);
uint64_t wb_sender_reorder_due(const struct wb_sender *s);
/* What was touched and moved since the last call (UT_WORK of base.h). */
uint64_t wb_work(void);
/* The log of what is in flight (tcp/sent.h), from now on. */
void wb_sender_use_log(struct wb_sender *s);
/* After `delivered` bytes were: P.delivered of the newest of them, when it left, bytes delivered
 * since. False: nothing is known of them. */
bool wb_sender_sample(struct wb_sender *s, uint32_t delivered, uint64_t out[3]);
uint32_t wb_sender_log_runs(const struct wb_sender *s);
/* NextSeg: fills run[2] and, when `send`, counts it as sent. */
bool wb_sender_next(struct wb_sender *s, uint64_t run[2], bool send);
/* CDEF END */

#endif
