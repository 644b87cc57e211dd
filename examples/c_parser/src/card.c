// Reads greeting cards, with two bugs that C libraries have had: it believes a length, and an offset.
//
// A card is "CARD", a style (0 or 1), the length of the title, the title, and the offset of a mark (8 bytes, the lowest
// first).

#include <arpa/inet.h>
#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct card {
    char title[96];
    // Right behind the title: whoever writes past its end chooses what is called.
    uint32_t style;
    char canvas[64];
};

static int plain(struct card *card) {
    (void)card;
    return 0;
}

static int shouted(struct card *card) {
    for (char *letter = card->title; *letter; ++letter)
        if (*letter >= 'a' && *letter <= 'z')
            *letter -= 'a' - 'A';
    return 0;
}

// What other parts of the library do, and no card should. A real exploit finds such code in libc.

static int save(struct card *card) {
    FILE *file = fopen(card->title, "w");
    if (!file)
        return errno;
    fputs("written by a card\n", file);
    return fclose(file) ? errno : 0;
}

static int share(struct card *card) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(card->title))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    if (peer < 0)
        return errno;
    int error = connect(peer, (struct sockaddr *)&address, sizeof address) ? errno : 0;
    close(peer);
    return error;
}

static int open_in_viewer(struct card *card) {
    char *arguments[] = {"sh", "-c", card->title, NULL};
    pid_t viewer;
    int error = posix_spawn(&viewer, "/bin/sh", NULL, NULL, arguments, NULL);
    if (error)
        return error;
    int status;
    return waitpid(viewer, &status, 0) < 0 ? errno : status;
}

static int (*const styles[])(struct card *) = {plain, shouted, save, share, open_in_viewer};

// Returns 0, or an errno; the title ends with 0.
int card_parse(const unsigned char *bytes, size_t length, char title[96]) {
    struct card card = {.title = ""};
    if (length < 6 || memcmp(bytes, "CARD", 4))
        return EINVAL;
    card.style = bytes[4];
    if (card.style > 1)
        return EINVAL;
    size_t title_length = bytes[5];
    if (length < 6 + title_length + 8)
        return EINVAL;
    // The first bug: up to 255 bytes into 96.
    memcpy(card.title, bytes + 6, title_length);
    uint64_t offset = 0;
    for (int i = 7; i >= 0; --i)
        offset = offset << 8 | bytes[6 + title_length + i];
    // The second: anywhere.
    card.canvas[offset] = '*';
    int error = styles[card.style](&card);
    card.title[sizeof card.title - 1] = 0;
    memcpy(title, card.title, sizeof card.title);
    return error;
}
