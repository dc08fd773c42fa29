/* Texts of a record that end at their NUL: what programs leave behind it is what the ring held before. */
#ifndef SKEP_TEXTS_H
#define SKEP_TEXTS_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <stdint.h>
#include <string.h>

/*
 * Zeros what follows the NUL of a text in target, which already holds a copy of it, or is it. The text is read where it
 * comes from: a copy that was made in wider pieces is not in the processor's reach yet. Eight bytes at a time: most texts
 * are short, and a call of memchr costs more than the work.
 */
static inline void end_text(uint8_t *target, const uint8_t *text, uint32_t size)
{
	const uint64_t zeros = 0;
	uint32_t i = 0;

#ifdef __SSE2__
	for (; i + 16 <= size; i += 16) {
		static const uint8_t kept[32] = { [0 ... 15] = 0xff };
		__m128i piece = _mm_loadu_si128((const __m128i *)(text + i));
		unsigned int nuls = _mm_movemask_epi8(_mm_cmpeq_epi8(piece, _mm_setzero_si128()));

		if (!nuls)
			continue;
		piece = _mm_and_si128(piece, _mm_loadu_si128((const __m128i *)(kept + 16 - __builtin_ctz(nuls))));
		_mm_storeu_si128((__m128i *)(target + i), piece);
		i += 16;
		goto rest;
	}
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	for (; i + 8 <= size; i += 8) {
		uint64_t word, nul;

		memcpy(&word, text + i, sizeof(word));
		nul = (word - 0x0101010101010101) & ~word & 0x8080808080808080;
		if (!nul)
			continue;
		/* Its lowest bit is the highest of the first byte that is zero: what is below it stays. */
		word &= (nul & -nul) - 1;
		memcpy(target + i, &word, sizeof(word));
		i += 8;
		goto rest;
	}
#endif
	while (i < size && text[i])
		i++;
rest:
	for (; i + 8 <= size; i += 8)
		memcpy(target + i, &zeros, sizeof(zeros));
	for (; i < size; i++)
		target[i] = 0;
}

/* The same for all texts of a record, as far as it goes. texts: the offset and size of each, in pairs, by offset. */
static inline void end_texts(uint8_t *target, const uint8_t *record, uint32_t size, const uint32_t *texts, uint32_t count)
{
	for (uint32_t i = 0; i < count && texts[2 * i] < size; i++) {
		uint32_t offset = texts[2 * i], left = size - offset;

		end_text(target + offset, record + offset, texts[2 * i + 1] < left ? texts[2 * i + 1] : left);
	}
}

#endif
