"""The rules of the architecture page that a look at the text can check."""

import re
from pathlib import Path

import pytest

from support import csource
from support.csource import CSRC

EVERYTHING = csource.files()
WHITEBOX = "api/whitebox"  # the tests' key to all rooms


def outside(*prefixes: str) -> list[Path]:
    return [p for p in EVERYTHING if not csource.name(p).startswith((WHITEBOX, *prefixes))]


# name: (what must not be written, where it may be nevertheless, why)
CALL = r"(?<![\w.>])(?:{})\s*\("
RULES = {
    "rule 4: nobody but the pump and busy polling reads a clock": (
        CALL.format("clock_gettime|clock|gettimeofday|time|timespec_get|__rdtsc|_rdtsc"),
        ("stack/clock.h", "link/pcap.c"),  # a capture's wall clock, read as it opens
    ),
    "rule 4: ... by clock.h": (
        r"\bclock_now\s*\(|stack/clock\.h",
        ("stack/clock.h", "stack/pump.c", "stack/busy.c"),
    ),
    "rule 4: randomness comes from the stack's seeds": (
        CALL.format("rand|srand|random|srandom|rand_r|getrandom|arc4random|getentropy|drand48"),
        (),
    ),
    "rule 4: memory comes from an allocator that is given": (
        CALL.format("malloc|calloc|realloc|free|strdup|strndup|alloca|posix_memalign|mmap|munmap"),
        ("base/alloc.c", "link/", "api/"),  # devices' rings; what exists before an allocator
    ),
    "rule 5: packet bytes are read and written in wire/": (
        r"\b(?:get|put)_be(?:16|32|64)\b|\b(?:ntoh|hton)[sl]\b|\b(?:be|le)\d\dtoh\b|\bhtobe\d\d\b",
        ("wire/", "link/"),  # the devices' own structures and the capture file's format
    ),
    "rule 6: sequence numbers are compared in tcp/seq.h": (
        r"\.v\s*(?:[<>]|[-+](?![-+])|[!=]=)|(?:<|(?<!-)>|\+|-(?!>))=?\s*[\w.\[\]>-]*\.v\b",
        ("tcp/seq.h", "wire/dump.c"),  # the dump shows them relative to the first
    ),
    "rule 6: the inside of seq32 is for wire/ and whoever shows it": (
        r"\bseq32\b.*\{\s*\.?v?\b",
        ("tcp/seq.h", "base/seq32.h", "wire/"),
    ),
    "rule 7: the state changes in tcp_set_state": (
        r"(?:->|\.)state\s*=(?!=)",
        ("tcp/state.c",),
    ),
    "layers: system calls are made in link/ and the pump": (
        CALL.format(
            "socket|bind|connect|sendmsg|sendmmsg|sendto|send|recvmsg|recvmmsg|recvfrom|recv|read"
            "|write|readv|writev|open|openat|close|ioctl|poll|ppoll|select|epoll_\\w+|eventfd"
            "|timerfd_\\w+|setsockopt|getsockopt|fcntl|pipe2?|syscall|nanosleep|usleep|sleep|fopen"
            "|fork|execve?|signal|sigaction|kill"
        ),
        ("link/", "stack/pump"),
    ),
    "layers: threads are started by the pump alone": (
        CALL.format("pthread_create|thrd_create"),
        ("stack/pump",),
    ),
    "configuration is run time: no #if but for the instruction set and the device": (
        r"^\s*#\s*(?:if|ifdef|elif)\b(?!.*\b(?:UT_CHECKS|__\w+__|STATE|TRANSITION)\b)",
        ("link/", "wire/checksum", "stack/pump"),
    ),
    "nothing is printed": (
        CALL.format("printf|fprintf|puts|putchar|perror"),
        ("base/base.c",),  # the assertion's last words
    ),
    "no unbounded string function": (
        CALL.format("strcpy|strcat|sprintf|vsprintf|gets|strncpy|strtok|scanf|sscanf|atoi"),
        (),
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str):
    pattern, exempt = RULES[rule]
    assert csource.matches(pattern, outside(*exempt), directives=True) == []


def test_rules_would_notice():
    """Each pattern finds what it is there to find."""
    bad = [
        *("now = time(NULL);", "x = rand();", "p = malloc(3);", "get_be32(p)", "if (a.v < b.v)"),
        *("if (1 + t->snd_una.v)", "x = (seq32){3};", "t->state = TCP_CLOSED;", "read(fd, p, 1)"),
        *("pthread_create(&t)", "#ifdef FAST", 'printf("")', "strcpy(a, b)", "clock_now()"),
    ]
    patterns = [re.compile(pattern) for pattern, _ in RULES.values()]
    assert [line for line in bad if not any(p.search(line) for p in patterns)] == []
    assert all(any(p.search(line) for line in bad) for p in patterns)
    good = [
        "l->ops->send(l)",
        "t->state == TCP_CLOSED",
        "link_close(l)",
        "seq_lt(a, b)",
        "run_time(x)",
    ]
    assert [line for line in good if any(p.search(line) for p in patterns)] == []


# A variable at file scope that is not const: the engine keeps everything in a stack, but for the
# checksum table, which is chosen once and is the same for all.
_GLOBAL = re.compile(
    r"^(?!typedef|extern|.*\bconst\b)(?:static )?[a-z_][\w ]*[ *]+\w+(?:\[[^\]]*\])*(?: = .*|;)$",
    re.MULTILINE,
)
# ... and but for the names by which ends in memory find each other within a process.
# base/base: the count of UT_WORK, a thread's own, in test builds only.
GLOBALS_ALLOWED = ("wire/checksum", "link/memory", "api/whitebox", "base/base")
LOCK = "pthread_mutex_t"  # a lock is no knowledge


def test_no_global_state():
    found = []
    for path in outside(*GLOBALS_ALLOWED):
        if path.suffix == ".c":
            text = csource.code(path.read_text())
            lines = [line[0] for line in _GLOBAL.finditer(text) if LOCK not in line[0]]
            found += [f"{csource.name(path)}: {line}" for line in lines]
    assert found == []


def test_globals_would_be_noticed():
    for line in ("static int count;", "struct x *head = NULL;", "static uint8_t table[4];"):
        assert _GLOBAL.search(line), line
    for line in ("static const int n = 1;", "static const char *const names[] = {", "int f(void);"):
        assert not _GLOBAL.search(line), line


def test_deviations_have_their_form():
    """`DEVIATES` is always followed by the RFC (or draft) and section, what, and why."""
    form = re.compile(r"DEVIATES (?:RFC \d+|draft[\w-]+) [\d.]+[^:]*: .*?because ", re.DOTALL)
    for path in EVERYTHING:
        text = path.read_text()
        for match in re.finditer(r"DEVIATES\b", text):
            comment = re.sub(r"\s*\n\s*\*?\s*", " ", text[match.start() : match.start() + 600])
            assert form.match(comment.split("*/")[0]), f"{csource.name(path)}: {comment[:80]}"


def test_every_source_is_built():
    """A C file outside the layers' folders would silently be left out."""
    layers = {"base", "wire", "tcp", "ip", "link", "stack", "api"}
    strays = [path for path in CSRC.rglob("*.c") if path.parent.name not in layers]
    assert strays == []
