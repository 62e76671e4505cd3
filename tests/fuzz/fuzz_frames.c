/* fuzz_frames.c: a stack with a listener, fed a sequence of arbitrary frames and passing time. */
#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct bench b;
    uint8_t how = input_u8(&in);
    bench_open(&b, how & 1, how >> 1 & 1 ? 2 : 1);
    for (int i = 0; i < 64 && in.left > 0; i++) {
        const uint8_t *frame;
        b.now += (uint64_t)input_u8(&in) * 10000000;
        size_t len = input_bytes(&in, input_u16(&in) % 1600, &frame);
        bench_frame(&b, frame, len);
        ut_handle h;
        while (ut_accept(b.stack, b.listener, b.now, &h, NULL, NULL) == 0)
            ut_close(b.stack, h, b.now);
    }
    b.now += UINT64_C(4000000000000);
    bench_turn(&b);
    bench_close(&b);
    return 0;
}
