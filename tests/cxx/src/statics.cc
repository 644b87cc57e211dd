// Statics that are made before main: an allocation, a call of libc, a count.
#include <string>
#include <unistd.h>

namespace {
int made = 0;

struct Counted {
    std::string text;
    Counted() : text(std::string("made by ") + "an initialiser of C++, too long for the object itself") { ++made; }
};

Counted first;
Counted second;
// Once for each process that ran it: a worker has it from its forkserver.
pid_t maker = getpid();
}

extern "C" int cxx_made() { return made; }
extern "C" const char *cxx_text() { return second.text.c_str(); }
extern "C" int cxx_maker() { return maker; }
