/* info.c: TCP_INFO in the kernel's layout, and the C library's calls that packetdrill makes around
 * the table: this object is preloaded too, so that %{ }% blocks see our connections and no
 * privilege is needed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "door.h"
#include "stack/stack.h"
#include "stack/conn.h"

#define HOST_SO_MEMINFO 55
#define HOST_SO_MEMINFO_LEN 36
#define HOST_TCP_CC_INFO 26
#define HOST_WSCALES 6 /* offset in struct tcp_info */

enum host_ca_state { CA_OPEN, CA_DISORDER, CA_CWR, CA_RECOVERY, CA_LOSS };

static uint8_t info_state(uint32_t state)
{
    static const uint8_t host[] = {
        [UT_STATE_CLOSED] = 7,      [UT_STATE_LISTEN] = 10,     [UT_STATE_SYN_SENT] = 2,
        [UT_STATE_SYN_RECEIVED] = 3, [UT_STATE_ESTABLISHED] = 1, [UT_STATE_FIN_WAIT_1] = 4,
        [UT_STATE_FIN_WAIT_2] = 5,  [UT_STATE_CLOSE_WAIT] = 8,  [UT_STATE_CLOSING] = 11,
        [UT_STATE_LAST_ACK] = 9,    [UT_STATE_TIME_WAIT] = 6,
    };
    return host[state];
}

static uint32_t segments(uint64_t bytes, uint32_t mss)
{
    return (uint32_t)((bytes + mss - 1) / mss);
}

static uint8_t info_ca_state(const ut_info *i, const struct tcb *t)
{
    if (t != NULL && t->recovery_mode == RECOVERY_RTO)
        return CA_LOSS;
    if (i->in_recovery)
        return CA_RECOVERY;
    if (t != NULL && t->ecn.reduced)
        return CA_CWR;
    return t != NULL && (t->dup_acks > 0 || (t->trouble != NULL && !ranges_is_empty(&t->trouble->sacked)))
               ? CA_DISORDER
               : CA_OPEN;
}

/* The kernel counts what was sent again as lost until it is acknowledged; the engine does not. */
static uint64_t info_resent(const struct tcb *t)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; t != NULL && t->trouble != NULL && i < t->trouble->resent.count; i++)
        sum += t->trouble->resent.run[i].hi - t->trouble->resent.run[i].lo;
    return sum;
}

int info_get(const struct sock *k, void *to, socklen_t *len)
{
    struct tcp_info out = {.tcpi_state = 7};
    ut_info i;
    uint8_t scales = 0;
    if ((k->kind == SOCK_CONNECTION || k->kind == SOCK_LISTENING) &&
        ut_get_info(door.stack, k->handle, &i) == 0) {
        const struct conn *c = k->kind == SOCK_CONNECTION ? conn_of(door.stack, k->handle) : NULL;
        const struct tcb *t = c != NULL ? &c->tcb : NULL;
        uint32_t mss = i.snd_mss - (i.timestamps_ok ? 12 : 0);
        mss = mss > 0 ? mss : 536;
        out.tcpi_state = info_state(i.state);
        out.tcpi_ca_state = info_ca_state(&i, t);
        out.tcpi_backoff = out.tcpi_retransmits = (uint8_t)i.backoff;
        out.tcpi_options = (uint8_t)((i.timestamps_ok ? 1 : 0) | (i.sack_ok ? 2 : 0) |
                                     (i.wscale_ok ? 4 : 0) | (i.syn_data ? 32 : 0));
        scales = (uint8_t)(i.snd_wscale | i.rcv_wscale << 4);
        out.tcpi_rto = (uint32_t)(i.rto_ns / 1000);
        out.tcpi_snd_mss = mss;
        out.tcpi_advmss = i.rcv_mss;
        out.tcpi_rcv_mss = t != NULL ? t->seen_mss : 0;
        out.tcpi_unacked = segments(i.flight_size, mss);
        out.tcpi_sacked = segments(i.sacked, mss);
        out.tcpi_lost = segments(i.lost + info_resent(t), mss);
        out.tcpi_pmtu = door.mtu;
        out.tcpi_rtt = (uint32_t)(i.srtt_ns / 1000);
        out.tcpi_rttvar = (uint32_t)(i.rttvar_ns / 1000);
        out.tcpi_min_rtt = (uint32_t)(i.rtt_min_ns / 1000);
        out.tcpi_snd_cwnd = i.cwnd / mss;
        out.tcpi_snd_ssthresh = i.ssthresh >= 0x7fffffffu ? 0x7fffffffu : i.ssthresh / mss;
        out.tcpi_total_retrans = (uint32_t)i.retransmits;
        out.tcpi_reord_seen = i.reordering_seen;
        out.tcpi_reordering = u32_max(3, segments(i.reordering, mss));
        out.tcpi_retrans = segments(info_resent(t), mss);
        out.tcpi_bytes_acked = i.bytes_acked;
        out.tcpi_bytes_received = i.bytes_received;
        out.tcpi_bytes_sent = i.bytes_sent;
        out.tcpi_bytes_retrans = i.bytes_retransmitted;
        out.tcpi_segs_out = (uint32_t)i.segs_out;
        out.tcpi_segs_in = (uint32_t)i.segs_in;
        out.tcpi_data_segs_out = (uint32_t)i.data_segs_out;
        out.tcpi_data_segs_in = (uint32_t)i.data_segs_in;
        out.tcpi_notsent_bytes = i.snd_queued - (uint32_t)u64_min(i.snd_queued, i.flight_size);
        out.tcpi_snd_wnd = i.snd_wnd;
        out.tcpi_last_data_recv = (uint32_t)((door.now - k->last_data_at) / NS_PER_MS);
        out.tcpi_last_data_sent =
            t != NULL && t->last_sent != 0 ? (uint32_t)((door.now - t->last_sent) / NS_PER_MS) : 0;
    }
    socklen_t size = *len < sizeof out ? *len : (socklen_t)sizeof out;
    memset(to, 0, *len); /* fields younger than this header: zero, as an older kernel's */
    memcpy(to, &out, size);
    if (size > HOST_WSCALES) /* two bit-fields of four */
        ((uint8_t *)to)[HOST_WSCALES] = scales;
    return 0;
}

/* ---- in place of the C library's ---- */

DOOR_EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int (*next)(int, int, int, void *, socklen_t *);
    pthread_mutex_lock(&door.lock);
    struct sock *k = sock_of(fd);
    bool is_cc = level == IPPROTO_TCP && name == HOST_TCP_CC_INFO;
    bool is_memory = level == SOL_SOCKET && name == HOST_SO_MEMINFO;
    if (k != NULL && (is_cc || is_memory || (level == IPPROTO_TCP && name == TCP_INFO))) {
        int result = 0;
        if (is_cc)
            *len = 0; /* no numbers of the algorithm's own */
        else if (is_memory)
            memset(value, 0, *len = *len < HOST_SO_MEMINFO_LEN ? *len : HOST_SO_MEMINFO_LEN);
        else
            result = info_get(k, value, len);
        pthread_mutex_unlock(&door.lock);
        return result;
    }
    pthread_mutex_unlock(&door.lock);
    *(void **)&next = dlsym(RTLD_NEXT, "getsockopt");
    return next != NULL ? next(fd, level, name, value, len) : door_error(ENOSYS);
}

/* Real time does not matter to a virtual clock. */
DOOR_EXPORT int mlockall(int flags)
{
    (void)flags;
    return 0;
}

DOOR_EXPORT int sched_setscheduler(pid_t pid, int policy, const struct sched_param *param)
{
    (void)pid;
    (void)policy;
    (void)param;
    return 0;
}
