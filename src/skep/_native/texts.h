/*
 * Texts of a record end at their NUL: what programs leave behind it is what the ring held before.
 *
 * Records are copied 64 bytes at a time, one bit of a number for each byte, and all texts are ended by one addition: the
 * bits of bytes that are no NUL are ones, and what is added at the start of a text runs through them to its first NUL, or
 * to its last byte. There is no branch that the length of a text could mislead. native.h comes first.
 */
#ifndef SKEP_TEXTS_H
#define SKEP_TEXTS_H

#ifdef __x86_64__
#include <immintrin.h>
#endif
#include <endian.h>
#include <stdint.h>
#include <string.h>

#define PIECE 64
#define PIECES(size) (((size_t)(size) + PIECE - 1) / PIECE)

/* The bits of the bytes to be kept of a piece. carry: whether its first byte goes on with the text of the piece before. */
static inline uint64_t kept_bytes(uint64_t filled, const struct skep_texts *texts, uint64_t *carry)
{
	uint64_t within = filled & texts->within, sum = within + texts->starts + *carry;

	*carry = (within & ~sum) >> 63;
	return (within ^ sum) | texts->others;
}

/* Copies 64 bytes, with zeros behind the NULs of texts. */
static inline void copy_piece(uint8_t *target, const uint8_t *from, const struct skep_texts *texts, uint64_t *carry)
{
#ifdef __x86_64__
	/* Eight bytes are compared with the eight bits of one byte that stands in each of them. */
	const __m128i bits = _mm_set1_epi64x((long long)0x8040201008040201), zeros = _mm_setzero_si128();
	__m128i bytes[4], each, half[2];
	uint64_t nuls = 0;

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		bytes[i] = _mm_loadu_si128((const __m128i *)from + i);
		nuls |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes[i], zeros)) << 16 * i;
	}
	each = _mm_cvtsi64_si128((long long)kept_bytes(~nuls, texts, carry));
	each = _mm_unpacklo_epi8(each, each);
	half[0] = _mm_unpacklo_epi16(each, each);
	half[1] = _mm_unpackhi_epi16(each, each);
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		__m128i mask = i % 2 ? _mm_unpackhi_epi32(half[i / 2], half[i / 2]) : _mm_unpacklo_epi32(half[i / 2], half[i / 2]);

		mask = _mm_cmpeq_epi8(_mm_and_si128(mask, bits), bits);
		_mm_storeu_si128((__m128i *)target + i, _mm_and_si128(bytes[i], mask));
	}
#else
	const uint64_t sevens = 0x7f7f7f7f7f7f7f7f, ones = 0x0101010101010101;
	uint64_t words[8], filled = 0, kept;

	for (int i = 0; i < 8; i++) {
		uint64_t word;

		memcpy(&word, from + 8 * i, sizeof(word));
		words[i] = le64toh(word);
		/* The highest bit of each byte that is no NUL; then these bits side by side. */
		word = (((words[i] & sevens) + sevens) | words[i]) & ~sevens;
		filled |= (word >> 7) * 0x0102040810204080 >> 56 << 8 * i;
	}
	kept = kept_bytes(filled, texts, carry);
	for (int i = 0; i < 8; i++) {
		uint64_t mask = ((kept >> 8 * i & 0xff) * ones & 0x8040201008040201) + sevens;

		words[i] = htole64(words[i] & ((mask & ~sevens) >> 7) * 0xff);
		memcpy(target + 8 * i, &words[i], sizeof(words[i]));
	}
#endif
}

#ifdef __x86_64__
/* The same by a processor with AVX-512, in a third of the time. */
static inline __attribute__((target("avx512bw"))) void copy_wide_piece(uint8_t *target, const uint8_t *from,
								       const struct skep_texts *texts, uint64_t *carry)
{
	__m512i bytes = _mm512_loadu_si512(from);
	uint64_t kept = kept_bytes(_mm512_test_epi8_mask(bytes, bytes), texts, carry);

	_mm512_storeu_si512(target, _mm512_maskz_mov_epi8(kept, bytes));
}
#else
#define copy_wide_piece copy_piece
#endif

/*
 * Copies the pieces of a record, the last one whole: what stands behind the record is read, and overwritten in target.
 * text_pieces: how many of them, the first ones, may have texts. wide: this processor has AVX-512.
 */
static inline __attribute__((always_inline)) void copy_pieces(uint8_t *target, const uint8_t *record, uint32_t pieces,
							      const struct skep_texts *texts, uint32_t text_pieces,
							      int wide)
{
	uint64_t carry = 0;
	uint32_t i = 0;

	for (; i < text_pieces; i++)
		(wide ? copy_wide_piece : copy_piece)(target + i * PIECE, record + i * PIECE, &texts[i], &carry);
	/* Of one size, known to the compiler: a call of memcpy costs more than the bytes. */
	for (; i < pieces; i++)
		memcpy(target + i * PIECE, record + i * PIECE, PIECE);
}

/* Ends the texts of a record where it stands. */
static inline void end_texts(uint8_t *record, uint32_t size, const struct skep_texts *texts, uint32_t count)
{
	uint64_t carry = 0;

	for (uint32_t done = 0; done < size && count; done += PIECE, texts++, count--) {
		uint32_t left = size - done < PIECE ? size - done : PIECE;
		uint8_t piece[PIECE] = { 0 };

		memcpy(piece, record + done, left);
		copy_piece(piece, piece, texts, &carry);
		memcpy(record + done, piece, left);
	}
}

/* Copies a record. room: bytes from its first one on that may be read and written, its size at least. */
static inline void copy_record(uint8_t *target, const uint8_t *record, uint32_t size, size_t room,
			       const struct skep_texts *texts, uint32_t count)
{
	uint32_t pieces = PIECES(size);

	if (room / PIECE >= pieces) {
		copy_pieces(target, record, pieces, texts, count < pieces ? count : pieces, 0);
		return;
	}
	memcpy(target, record, size);
	end_texts(target, size, texts, count);
}

#endif
