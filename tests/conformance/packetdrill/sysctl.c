/* sysctl.c: the control channel. Scripts set the system's TCP settings by commands; the runner gives
 * them a network namespace of their own, and the engine follows what is set there. The environment
 * variable UT_SYSCTL_DIR names another directory of such files.
 */
#include <stdio.h>
#include <stdlib.h>

#include "door.h"
#include "stack/stack.h"

/* The first number in the file; `otherwise` where there is none. */
static uint64_t sysctl_number(const char *name, uint64_t otherwise)
{
    char path[512];
    unsigned long long value;
    const char *dir = getenv("UT_SYSCTL_DIR");
    snprintf(path, sizeof path, "%s/%s", dir != NULL ? dir : "/proc/sys/net/ipv4", name);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return otherwise;
    if (fscanf(f, "%llu", &value) != 1)
        value = otherwise;
    fclose(f);
    return value;
}

/* Four words in hexadecimal, with hyphens; as the host reads them. */
static void sysctl_fast_open_key(struct ut_stack *s)
{
    char path[512];
    unsigned word[4];
    uint8_t key[16];
    const char *dir = getenv("UT_SYSCTL_DIR");
    snprintf(path, sizeof path, "%s/%s", dir != NULL ? dir : "/proc/sys/net/ipv4", "tcp_fastopen_key");
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return;
    if (fscanf(f, "%x-%x-%x-%x", &word[0], &word[1], &word[2], &word[3]) == 4) {
        for (int i = 0; i < 16; i++)
            key[i] = (uint8_t)(word[i / 4] >> 8 * (i % 4));
        ut_fast_open_key_set(s, key, door.now);
    }
    fclose(f);
}

/* Of a SYN that is sent `retries` times again, doubling the wait: until the last wait is over. */
static ns_t sysctl_patience(ns_t first, uint64_t retries)
{
    return first * ((UINT64_C(2) << u64_min(retries, 10)) - 1);
}

void sysctl_read(void)
{
    struct ut_stack *s = door.stack;
    struct tcp_params *p = &s->env.params;
    p->use_timestamps = sysctl_number("tcp_timestamps", 1) != 0;
    /* The scripts expect a plain queue, which does not pace. */
    p->batch_min_segs = (uint8_t)u64_min(sysctl_number("tcp_min_tso_segs", 2), 255);
    p->use_sack = sysctl_number("tcp_sack", 1) != 0;
    p->use_window_scale = sysctl_number("tcp_window_scaling", 1) != 0;
    p->mtu_probing = (uint8_t)u64_min(sysctl_number("tcp_mtu_probing", 0), 2);
    p->mtu_base = (uint16_t)u64_min(sysctl_number("tcp_base_mss", 1024), UINT16_MAX);
    p->ecn = (uint8_t)u64_min(sysctl_number("tcp_ecn", 2), 5);
    p->synack_retries = (uint32_t)u64_min(sysctl_number("tcp_synack_retries", 5), 255);
    p->connect_timeout = sysctl_patience(p->rto_initial, sysctl_number("tcp_syn_retries", 6));
    door.fast_open = (uint32_t)sysctl_number("tcp_fastopen", 0);
    if (door.fast_open != 0)
        sysctl_fast_open_key(s);
    s->config.syn_cookies = (uint32_t)u64_min(sysctl_number("tcp_syncookies", 1), 2);
}
