// The processor's own instruction for CRC32C, where it has one: SSE 4.2 on x86-64, an extension of ARMv8.
#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>

static inline int holdfast_has_crc32c(void) {
    unsigned int a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2) != 0;
}

#define HOLDFAST_CRC32C_TARGET __attribute__((target("sse4.2")))
#define HOLDFAST_CRC32C_WORD(value, word) ((uint32_t)__builtin_ia32_crc32di((value), (word)))
#define HOLDFAST_CRC32C_BYTE(value, byte) __builtin_ia32_crc32qi((value), (byte))

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static inline int holdfast_has_crc32c(void) {
    // HWCAP_CRC32 of <asm/hwcap.h>.
    return (getauxval(AT_HWCAP) & (1ul << 7)) != 0;
}

#define HOLDFAST_CRC32C_TARGET __attribute__((target("crc")))
#define HOLDFAST_CRC32C_WORD(value, word) __builtin_arm_crc32cd((value), (word))
#define HOLDFAST_CRC32C_BYTE(value, byte) __builtin_arm_crc32cb((value), (byte))

#else

static inline int holdfast_has_crc32c(void) { return 0; }

#define HOLDFAST_CRC32C_TARGET
#endif

// Goes on with a checksum whose bits are inverted, as the instruction has them. Only where holdfast_has_crc32c() says so.
HOLDFAST_CRC32C_TARGET
static inline uint32_t holdfast_crc32c(uint32_t value, const void *bytes, unsigned long count) {
#if defined(HOLDFAST_CRC32C_WORD)
    const unsigned char *next = (const unsigned char *)bytes;
    for (; count >= 8; next += 8, count -= 8) {
        uint64_t word;
        __builtin_memcpy(&word, next, 8);
        value = HOLDFAST_CRC32C_WORD(value, word);
    }
    for (; count > 0; next += 1, count -= 1) value = HOLDFAST_CRC32C_BYTE(value, *next);
#else
    (void)bytes;
    (void)count;
#endif
    return value;
}
