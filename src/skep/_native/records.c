/*
 * Records of a batch: told apart, grouped, gathered, cleaned. What a record says of itself is never trusted: its size is
 * that of its place in the batch.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "native.h"
#include "texts.h"

static uint32_t size_of(const struct skep_records *records, uint32_t index)
{
	return records->offsets ? records->offsets[index + 1] - records->offsets[index] : records->stride;
}

static const uint8_t *record_at(const struct skep_records *records, uint32_t index)
{
	size_t offset = records->offsets ? records->offsets[index] : (size_t)index * records->stride;

	return (const uint8_t *)records->data + offset;
}

/* The kind that is sent with this size; else the smallest that it may be the start of; else the largest. */
static uint32_t kind_of_size(const struct skep_kind *kinds, uint32_t count, uint32_t size)
{
	uint32_t largest = 0;

	for (uint32_t kind = 0; kind < count; kind++)
		if (kinds[kind].sent == size)
			return kind;
	for (uint32_t kind = 0; kind < count; kind++) {
		if (kinds[kind].size > size)
			return kind;
		if (kinds[kind].size > kinds[largest].size)
			largest = kind;
	}
	return largest;
}

/* The number in a field of a record; what the record lacks reads as zeros. */
static uint64_t number_at(const uint8_t *record, uint32_t length, uint32_t offset, uint32_t size)
{
	uint8_t bytes[8] = { 0 };
	uint64_t number = 0;

	if (offset < length)
		memcpy(bytes, record + offset, length - offset < size ? length - offset : size);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&number, bytes, sizeof(number));
#else
	memcpy((uint8_t *)&number + sizeof(number) - size, bytes, size);
#endif
	return number;
}

void skep_tell(const struct skep_records *records, uint32_t count, const struct skep_kind *kinds, uint32_t kind_count,
	       const struct skep_tags *tags, uint32_t *told)
{
	/* Records come in runs, and of few sizes: the last answer is mostly the next one. */
	uint32_t known_size = 0, by_size = kind_of_size(kinds, kind_count, 0);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = size_of(records, i), kind = kind_count, tag = 0;

		if (tags) {
			uint64_t number = number_at(record_at(records, i), size, tags->offset, tags->size);

			while (tag < tags->count && tags->tags[tag].value != number)
				tag++;
			if (tag < tags->count)
				kind = tags->tags[tag].kind;
		}
		if (kind == kind_count) {
			if (size != known_size) {
				known_size = size;
				by_size = kind_of_size(kinds, kind_count, size);
			}
			kind = by_size;
		}
		told[i] = kind;
	}
}

uint32_t skep_runs(const uint32_t *told, uint32_t count, uint32_t *ends)
{
	uint32_t runs = 0;

	for (uint32_t i = 0; i < count; i++)
		if (i + 1 == count || told[i + 1] != told[i])
			ends[runs++] = i + 1;
	return runs;
}

void skep_group(const uint32_t *told, uint32_t count, uint32_t kind_count, uint32_t *positions, uint32_t *ends)
{
	uint32_t start = 0;

	memset(ends, 0, kind_count * sizeof(*ends));
	for (uint32_t i = 0; i < count; i++)
		ends[told[i]]++;
	for (uint32_t kind = 0; kind < kind_count; kind++) {
		uint32_t here = ends[kind];

		ends[kind] = start;
		start += here;
	}
	for (uint32_t i = 0; i < count; i++)
		positions[ends[told[i]]++] = i;
}

size_t skep_gather(const struct skep_records *records, const uint32_t *chosen, uint32_t count, void *target,
		   uint32_t *offsets, uint32_t stride)
{
	uint8_t *place = target;
	size_t written = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = chosen ? chosen[i] : i, size = size_of(records, index);
		uint32_t copied = stride && size > stride ? stride : size;

		if (place) {
			memcpy(place + written, record_at(records, index), copied);
			if (stride)
				memset(place + written + copied, 0, stride - copied);
		}
		written += stride ? stride : copied;
		if (offsets)
			offsets[i + 1] = written;
	}
	return written;
}

uint32_t skep_stride(const uint32_t *offsets, uint32_t count)
{
	uint32_t stride = count ? offsets[1] - offsets[0] : 0;

	for (uint32_t i = 1; i < count; i++)
		if (offsets[i + 1] - offsets[i] != stride)
			return 0;
	return stride;
}

void skep_clean(void *data, uint32_t stride, uint32_t count, const struct skep_texts *texts, uint32_t text_count)
{
	for (uint32_t i = 0; i < count; i++)
		end_texts((uint8_t *)data + (size_t)i * stride, stride, texts, text_count);
}
