// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cheri_representable_length() and cheri_representable_alignment_mask(): what
 * they say, against another way to say it, and against a capability.
 */

#include <linux/cheri_bounds.h>

#define BOUNDS_WINDOW	4096	/* lengths on each side of a power of two */

/* Lengths and addresses need a bit more than there is in an unsigned long. */
#define WIDE_BIT(_n)	((__uint128_t)1 << (_n))
#define BOUNDS_END	WIDE_BIT(BITS_PER_LONG)

/* The least there can be, CHERI-RISC-V, Morello, and some more. */
static const unsigned int bounds_widths[] = { 6, 8, 14, 16, 23 };

struct bounds {
	__uint128_t length;
	__uint128_t align;
};

/*
 * The rule from the other end: a length has MW - 1 bits above E, of which the
 * lowest three are zero, so take the smallest E with which there are as many.
 */
static struct bounds bounds_search(unsigned long len, unsigned int width)
{
	struct bounds bounds = { .length = len, .align = 1 };
	__uint128_t limit = WIDE_BIT(width - 2);

	if (len < limit)
		return bounds;

	bounds.align = 8;
	limit *= 2;
	for (;;) {
		bounds.length = (len + bounds.align - 1) / bounds.align *
				bounds.align;
		if (bounds.length < limit)
			return bounds;
		bounds.align *= 2;
		limit *= 2;
	}
}

static void assert_bounds(unsigned long len, unsigned int width)
{
	struct bounds bounds = bounds_search(len, width);

	ASSERT_EQ(cheri_representable_length(len, width),
		  (unsigned long)bounds.length);
	ASSERT_EQ(cheri_representable_alignment_mask(len, width),
		  -(unsigned long)bounds.align);
}

static void assert_fact(unsigned int width, unsigned long len,
			unsigned long align, unsigned long rounded)
{
	ASSERT_EQ(cheri_representable_alignment_mask(len, width), -align);
	ASSERT_EQ(cheri_representable_length(len, width), rounded);
	assert_bounds(len, width);
}

/* CHERI Concentrate in 128 bits rounds like this. */
TEST(facts)
{
	const unsigned int width = CHERI128_MANTISSA_WIDTH;

	ASSERT_EQ(width, 14);
	assert_fact(width, 0x1001000, 0x8000, 0x1008000);
	/* Rounding carries into a new top bit. */
	assert_fact(width, 0x1fff000, 0x10000, 0x2000000);
	assert_fact(width, 0x40001000, 0x200000, 0x40200000);
}

/* The mantissa of Morello is two bits wider, and what is lost two bits less. */
TEST(facts_morello)
{
	assert_fact(16, 0x40001000, 0x80000, 0x40080000);
	assert_fact(16, 0x1001000, 0x2000, 0x1002000);
	assert_fact(16, 0x1fff000, 0x4000, 0x2000000);
}

/* Below 2^(MW - 2) any length will do at any address, and nothing above. */
TEST(exact)
{
	for (int i = 0; i < ARRAY_SIZE(bounds_widths); i++) {
		unsigned int width = bounds_widths[i];
		unsigned long limit = 1UL << (width - 2);
		unsigned long len;

		for (len = 0; len < limit; len++) {
			ASSERT_EQ(cheri_representable_length(len, width), len);
			ASSERT_EQ(cheri_representable_alignment_mask(len, width),
				  ~0UL);
		}
		assert_fact(width, limit, 8, limit);
		assert_fact(width, limit + 1, 8, limit + 8);
	}
}

/* The greatest lengths: the whole address space cannot be told from none. */
TEST(extremes)
{
	for (int i = 0; i < ARRAY_SIZE(bounds_widths); i++) {
		unsigned int width = bounds_widths[i];
		/* Of lengths with the top bit set, and of all the addresses. */
		unsigned long top = 1UL << (BITS_PER_LONG - 1 - (width - 2) + 3);
		unsigned long all = top << 1;

		ASSERT_EQ(cheri_representable_length(0, width), 0);
		ASSERT_EQ(cheri_representable_alignment_mask(0, width), ~0UL);

		assert_fact(width, ULONG_MAX, all, 0);
		assert_fact(width, -PAGE_SIZE, all, 0);
		assert_fact(width, -top + 1, all, 0);
		assert_fact(width, -top, top, -top);
		assert_fact(width, 1UL << (BITS_PER_LONG - 1), top,
			    1UL << (BITS_PER_LONG - 1));
	}

	/* A mantissa as wide as an address loses nothing. */
	ASSERT_EQ(cheri_representable_length(ULONG_MAX, BITS_PER_LONG + 2),
		  ULONG_MAX);
	ASSERT_EQ(cheri_representable_alignment_mask(ULONG_MAX,
						     BITS_PER_LONG + 2), ~0UL);
}

/* What must hold from one length to the next greater one. */
static void assert_order(unsigned long len, unsigned long prev,
			 unsigned int width)
{
	unsigned long rounded = cheri_representable_length(len, width);
	unsigned long mask = cheri_representable_alignment_mask(len, width);
	unsigned long last = rounded - 1;	/* so that 0 is the greatest */

	/* Neither shortened nor longer than need be. */
	ASSERT_GE(last, len - 1);
	ASSERT_EQ((len - 1) & mask, last & mask);

	/* A longer one does not have less. */
	ASSERT_GE(last, cheri_representable_length(prev, width) - 1);
	ASSERT_LE(mask, cheri_representable_alignment_mask(prev, width));

	/* What has been rounded is right. */
	if (!rounded)
		return;
	ASSERT_EQ(cheri_representable_length(rounded, width), rounded);
	ASSERT_EQ(cheri_representable_alignment_mask(rounded, width), mask);
}

/* All lengths around a power of two that are @step apart; 2^BITS is a power. */
static void assert_window(unsigned int power, unsigned long step,
			  unsigned int width)
{
	__uint128_t mid = WIDE_BIT(power);

	for (long i = -BOUNDS_WINDOW; i <= BOUNDS_WINDOW; i++) {
		__uint128_t len = mid + i * (__uint128_t)step;

		/* Which wraps below zero, and then is not below the end. */
		if (len <= step || len >= BOUNDS_END)
			continue;
		assert_bounds(len, width);
		assert_order(len, len - step, width);
	}
}

static void assert_windows(unsigned int shift)
{
	for (int i = 0; i < ARRAY_SIZE(bounds_widths); i++)
		for (int power = shift; power <= BITS_PER_LONG; power++)
			assert_window(power, 1UL << shift, bounds_widths[i]);
}

/* Every multiple of a page around each power of two. */
TEST(pages)
{
	assert_windows(PAGE_SHIFT);
}

/* Not only pages: every length around each power of two. */
TEST(bytes)
{
	assert_windows(0);
}

/*
 * What a capability remembers of its bounds: base and top without the bits
 * below E, and of the top not the two highest ones either, which follow from
 * the base and from what the length must be.
 */
struct bounds_cap {
	unsigned int width;
	unsigned int exponent;
	bool is_exact;		/* the exponent needs no room */
	__uint128_t base;	/* MW bits */
	__uint128_t top;	/* MW - 2 bits */
};

static struct bounds_cap cap_encode(__uint128_t base, __uint128_t len,
				    unsigned int width)
{
	struct bounds_cap cap = { .width = width };
	__uint128_t top = base + len;

	cap.is_exact = len < WIDE_BIT(width - 2);
	while (len >> cap.exponent >= WIDE_BIT(width - 1))
		cap.exponent++;

	cap.base = (base >> cap.exponent) % WIDE_BIT(width);
	cap.top = (top >> cap.exponent) % WIDE_BIT(width - 2);
	if (!cap.is_exact) {
		cap.base -= cap.base % 8;
		cap.top -= cap.top % 8;
	}
	return cap;
}

/* The bounds of a capability, told from an address that is its base. */
static void cap_decode(const struct bounds_cap *cap, __uint128_t addr,
		       __uint128_t *base, __uint128_t *len)
{
	__uint128_t quarter = WIDE_BIT(cap->width - 2);
	__uint128_t units = cap->top - cap->base % quarter;

	/* The length of an exact one is below a quarter, else it is in the next. */
	units %= quarter;
	if (!cap->is_exact)
		units += quarter;

	*base = addr >> cap->exponent;
	*base -= (*base - cap->base) % (quarter * 4);
	*base <<= cap->exponent;
	*len = units << cap->exponent;
}

static bool cap_can_be(__uint128_t base, __uint128_t len, unsigned int width)
{
	struct bounds_cap cap = cap_encode(base, len, width);
	__uint128_t got_base, got_len;

	cap_decode(&cap, base, &got_base, &got_len);
	return got_base == base && got_len == len;
}

static unsigned long bounds_random(unsigned long *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * A capability can have the bounds, at any base that is aligned as asked; it
 * cannot with a base that is off by half of that, or with a length in between.
 */
TEST(capability)
{
	unsigned long state = test_seed() | 1;

	for (int i = 0; i < 1000000; i++) {
		unsigned int width = bounds_widths[i % ARRAY_SIZE(bounds_widths)];
		unsigned long len = bounds_random(&state) >>
				    bounds_random(&state) % BITS_PER_LONG;
		unsigned long mask =
			cheri_representable_alignment_mask(len, width);
		unsigned long base = bounds_random(&state) & mask;
		__uint128_t rounded = cheri_representable_length(len, width);

		if (len && !rounded)
			rounded = BOUNDS_END;
		ASSERT_TRUE(cap_can_be(base, rounded, width));
		if (mask == ~0UL)
			continue;
		ASSERT_FALSE(cap_can_be(base | (~mask / 2 + 1), rounded, width));
		if (len & ~mask)
			ASSERT_FALSE(cap_can_be(base, len, width));
	}
}
