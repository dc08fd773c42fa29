/*
 * Maps read and written whole: in batches where the kernel can, else entry by entry.
 *
 * Minimum kernel: 5.6 for batches of hashes and arrays, 5.13 for per-CPU arrays. Source: kernel/bpf/hashtab.c
 * (__htab_map_lookup_and_delete_batch), kernel/bpf/syscall.c (generic_map_lookup_batch).
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "native.h"

/* The kernel's own number for "not supported", which user space has no name for. */
#define ENOTSUPP 524

/* Entries that are asked for at once: more make it no faster. A bucket of a hash that has more asks for more. */
static const uint32_t at_once = 4096;

static int make_room(struct skep_entries *entries, size_t more)
{
	size_t room = entries->room ? entries->room : more;
	void *memory;

	while (room < entries->count + more)
		room *= 2;
	if (room == entries->room)
		return 0;
	memory = realloc(entries->keys, room * entries->key_size);
	if (!memory)
		return -ENOMEM;
	entries->keys = memory;
	memory = realloc(entries->values, room * entries->value_size);
	if (!memory)
		return -ENOMEM;
	entries->values = memory;
	entries->room = room;
	return 0;
}

static uint8_t *key_at(const struct skep_entries *entries, size_t index)
{
	return (uint8_t *)entries->keys + index * entries->key_size;
}

static uint8_t *value_at(const struct skep_entries *entries, size_t index)
{
	return (uint8_t *)entries->values + index * entries->value_size;
}

static int read_batches(int fd, int take, struct skep_entries *entries)
{
	/* Where the kernel goes on: a key, or for hashes the number of a bucket. */
	size_t place_size = entries->key_size < 4 ? 4 : entries->key_size;
	uint8_t *place = calloc(2, place_size), *from = NULL, *to = place;
	uint32_t wanted = at_once, count;
	int error;

	if (!place)
		return -ENOMEM;
	for (;;) {
		error = make_room(entries, wanted);
		if (error)
			break;
		count = wanted;
		error = (take ? bpf_map_lookup_and_delete_batch : bpf_map_lookup_batch)(
			fd, from, to, key_at(entries, entries->count), value_at(entries, entries->count), &count, NULL);
		if (error == -ENOSPC && wanted < 1u << 30) {
			/* None were copied: the next bucket has more than there was room for. */
			wanted *= 2;
			continue;
		}
		/* Up to the end, or to a bucket that was locked for too long, all is as it should be. */
		if (error && error != -ENOENT && error != -EBUSY)
			break;
		entries->count += count;
		if (error == -EBUSY)
			break;
		if (error) {
			error = 0;
			break;
		}
		from = to;
		to = to == place ? place + place_size : place;
	}
	free(place);
	return error;
}

/*
 * A walk begins anew where its last key was deleted: more entries than there is room for tell that it was not by us. A map
 * of slots has all of its keys for ever, and goes on.
 */
static int walk(int fd, int take, size_t limit, struct skep_entries *entries)
{
	const void *last = NULL;
	uint8_t *key = malloc(2 * entries->key_size), *next;
	int error = 0;

	if (!key)
		return -ENOMEM;
	next = key + entries->key_size;
	while (!error) {
		error = bpf_map_get_next_key(fd, last, next);
		if (error == -ENOENT) {
			error = 0;
			break;
		}
		if (!error)
			error = !limit || entries->count < limit ? make_room(entries, 1) : -EBUSY;
		if (error)
			break;
		memcpy(key, next, entries->key_size);
		last = key;
		error = bpf_map_lookup_elem(fd, key, value_at(entries, entries->count));
		if (!error) {
			memcpy(key_at(entries, entries->count), key, entries->key_size);
			entries->count++;
		}
		if (take && !error) {
			error = bpf_map_delete_elem(fd, key);
			/* It stays, and is not to be counted twice. */
			if (error && error != -ENOENT)
				entries->count--;
		}
		/* Gone between two calls. */
		if (error == -ENOENT)
			error = 0;
	}
	free(key);
	return error;
}

static int has_no_batches(int error)
{
	return error == -EINVAL || error == -ENOTSUPP || error == -EOPNOTSUPP;
}

int skep_map_read(int fd, int take, size_t limit, struct skep_entries *entries)
{
	int error = read_batches(fd, take, entries);

	/* Before 6.14 a batch gives up (EINTR) at keys without a value: empty places of arrays, what was just deleted. */
	if (error == -EINTR || (has_no_batches(error) && !entries->count)) {
		entries->count = 0;
		error = walk(fd, take, limit, entries);
	}
	/* What was taken is nowhere else: the next call finds what is left, or the reason. */
	return take && entries->count ? 0 : error;
}

int skep_map_write(int fd, struct skep_entries *entries, uint64_t flags)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = flags);
	uint32_t count = entries->count;
	int error = entries->count ? bpf_map_update_batch(fd, entries->keys, entries->values, &count, &options) : 0;

	if (!has_no_batches(error)) {
		entries->count = error ? count : entries->count;
		return error;
	}
	for (size_t i = 0; i < entries->count; i++) {
		error = bpf_map_update_elem(fd, key_at(entries, i), value_at(entries, i), flags);
		if (error) {
			entries->count = i;
			return error;
		}
	}
	return 0;
}

int skep_map_delete(int fd, struct skep_entries *entries)
{
	size_t done = 0, deleted = 0;
	int batches = 1, error = 0;

	while (done < entries->count) {
		uint32_t count = entries->count - done;

		if (batches)
			error = bpf_map_delete_batch(fd, key_at(entries, done), &count, NULL);
		if (batches && has_no_batches(error)) {
			batches = 0;
			continue;
		}
		if (!batches) {
			error = bpf_map_delete_elem(fd, key_at(entries, done));
			count = !error;
		}
		deleted += count;
		done += count;
		if (error == -ENOENT)
			done++; /* That one was not there. */
		else if (error)
			break;
	}
	entries->count = deleted;
	return error == -ENOENT ? 0 : error;
}

static uint64_t number_at(const uint8_t *place, const struct skep_number *number)
{
	uint64_t value = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&value, place + number->offset, number->size);
#else
	memcpy((uint8_t *)&value + 8 - number->size, place + number->offset, number->size);
#endif
	if (number->is_signed && number->size < 8 && value >> (number->size * 8 - 1))
		value |= ~0ull << (number->size * 8);
	return value;
}

static void put_number(uint8_t *place, const struct skep_number *number, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(place + number->offset, &value, number->size);
#else
	memcpy(place + number->offset, (uint8_t *)&value + 8 - number->size, number->size);
#endif
}

void skep_reduce(const void *values, size_t count, uint32_t cpus, size_t stride, int maximum,
		 const struct skep_number *numbers, uint32_t number_count, void *target, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		const uint8_t *first = (const uint8_t *)values + i * cpus * stride;
		uint8_t *place = (uint8_t *)target + i * size;

		/* What is no number is that of the first CPU. */
		memcpy(place, first, size);
		for (uint32_t n = 0; n < number_count; n++) {
			uint64_t result = number_at(first, &numbers[n]);

			for (uint32_t cpu = 1; cpu < cpus; cpu++) {
				uint64_t value = number_at(first + cpu * stride, &numbers[n]);

				if (!maximum)
					result += value;
				else if (numbers[n].is_signed ? (int64_t)value > (int64_t)result : value > result)
					result = value;
			}
			put_number(place, &numbers[n], result);
		}
	}
}
