/* host.h: what the programs of this directory share: a clock, a stack with its pump, an end. */
#ifndef TESTS_THREADS_HOST_H
#define TESTS_THREADS_HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "include/usertcp_info.h"

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            exit(1); \
        } \
    } while (0)

/* 10.0.0.`last`, with rings of `buffer` bytes. */
static ut_stack *stack_on(ut_link *link, uint8_t last, uint32_t buffer)
{
    int error;
    ut_config c;
    ut_config_default(&c);
    c.seed[0] = last;
    c.rcv_buffer = c.snd_buffer = buffer;
    ut_stack *s = ut_stack_new(&c, link, &error);
    CHECK(s != NULL);
    uint8_t ip[16] = {[10] = 0xff, 0xff, 10, 0, 0, last};
    CHECK(ut_address_add(s, ip, 24, 0, now()) == 0);
    CHECK(ut_pump_start(s, &error) == 0 && ut_pump_fd(s) >= 0);
    return s;
}

#endif
