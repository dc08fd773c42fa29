/*
 * What Python calls, beyond libbpf itself. build.py gives this file to cffi as it stands, so it holds declarations only.
 */
struct btf;
struct bpf_link;

/* messages.c: what libbpf says is kept, by thread, until it is asked for. */
void skep_messages_install(void);
char *skep_messages_take(void); /* the text since the last call, or NULL; free with skep_free */
void skep_free(void *memory);

/* object.c */
/* vmlinux.h, for sources of these words if there are any (sorted); 0 or -errno */
int skep_write_header(const struct btf *btf, const char *const *words, size_t count, int fd);

/* probe.c: may a program type call these helpers, or functions (by their types in BTF)? */
enum skep_answer { SKEP_NO, SKEP_YES, SKEP_UNKNOWN, SKEP_ON_DEVICE };
struct skep_caller { int type, attach_type; uint32_t btf_id, flags; int is_function; };
void skep_may_call(const struct skep_caller *caller, const uint32_t *numbers, uint32_t count, uint8_t *answers);

/* The functions of the kernel that programs may call, room of them at most; names live as long as btf. Returns how many. */
struct skep_kfunc { uint32_t id; const char *name; };
uint32_t skep_kfuncs(const struct btf *btf, struct skep_kfunc *found, uint32_t room);
void skep_detach(struct bpf_link **links, size_t count);             /* all at once, each in a thread */

/* memory.c: blocks for batches; the last large one that is given back is the next one that is taken. */
void *skep_memory_take(size_t size); /* NULL: there is none */
void skep_memory_give(void *memory);

/*
 * texts.h: the texts of a record, which end at their NUL. One for each 64 bytes of it, as far as there are texts; one bit
 * for each byte.
 */
struct skep_texts {
	uint64_t starts; /* first bytes of texts */
	uint64_t within; /* all bytes of texts but the last of each */
	uint64_t others; /* bytes of no text */
};

/* Sets texts, all zeros before, from the offset and the size of each text, in pairs. None overlap, none is empty. */
void skep_mark_texts(const uint32_t *places, uint32_t count, struct skep_texts *texts, uint32_t pieces);

/* drain.c, ring.c, perf.c: ring buffers and per-CPU perf buffers, read in batches into the caller's memory. */
struct skep_source;

/* Of one size, so that Python reads all of them at once. */
struct skep_drained {
	uint64_t bytes;   /* written to the buffer, records back to back */
	uint64_t count;   /* records */
	uint64_t stride;  /* size of each record if all have the same, else 0 */
	uint64_t lost;    /* records dropped before one of these (perf buffers only) */
	uint64_t needed;  /* not 0: the next record has this size and the buffer cannot hold it even empty */
	uint64_t more;    /* not 0: records were left for want of room */
	uint64_t held;    /* not 0: records were left since they are too young */
};

struct skep_source *skep_ring_open(int map_fd, size_t size);         /* NULL: see errno */
struct skep_source *skep_perf_open(int map_fd, int cpu, size_t size, int timed);
/* Fills texts of records with zeros from their first NUL on. texts stays the caller's. */
void skep_source_texts(struct skep_source *source, const struct skep_texts *texts, uint32_t count);
int skep_source_fd(const struct skep_source *source);                /* readable when records wait */
int64_t skep_source_lost(const struct skep_source *source);          /* dropped so far; -1 where the kernel does not tell */
void skep_source_close(struct skep_source *source);

/* Bytes that a drain would take at most. */
size_t skep_waiting(struct skep_source **sources, size_t count);

/*
 * Moves what is complete into buffer: of one ring buffer, or of perf buffers; of several that were opened timed in the
 * order of their times, up to `until` on CLOCK_MONOTONIC. offsets has room for limit + 1 numbers; record i lies at
 * offsets[i] to offsets[i + 1]. Returns 0; -EIO where a buffer's bookkeeping makes no sense; -ESTALE where another reader
 * takes records from the same ring.
 */
int skep_drain(struct skep_source **sources, size_t count, uint64_t until, void *buffer, size_t capacity,
	       uint32_t *offsets, uint32_t limit, struct skep_drained *drained);

/*
 * records.c: batches taken apart and put together. Record i lies at offsets[i] to offsets[i + 1]; where offsets is NULL,
 * at i * stride, and is stride bytes long.
 */
struct skep_records { const void *data; const uint32_t *offsets; uint32_t stride; };

/* What tells a record's kind: the size that records of it are sent with, and that of its type. */
struct skep_kind { uint32_t sent, size; };
/* A value of the tag and the kind that it stands for. */
struct skep_tag { uint64_t value; uint32_t kind; };
struct skep_tags { uint32_t offset, size, count; const struct skep_tag *tags; };

/* Tells the kind of each of count records: by its tag, else by its size. The kinds stand by rising size. */
void skep_tell(const struct skep_records *records, uint32_t count, const struct skep_kind *kinds, uint32_t kind_count,
	       const struct skep_tags *tags, uint32_t *told);

/* Where each run of one kind ends, among count records. Returns how many runs there are. */
uint32_t skep_runs(const uint32_t *told, uint32_t count, uint32_t *ends);

/* The positions of count records by kind, those of one kind in their order; those of kind k end at ends[k]. */
void skep_group(const uint32_t *told, uint32_t count, uint32_t kind_count, uint32_t *positions, uint32_t *ends);

/*
 * Copies the chosen ones of the records, or the first count where chosen is NULL. Back to back, their ends in offsets; or,
 * where stride is not 0, each into so many bytes, cut off or filled up with zeros. Returns the bytes written, or, where
 * target is NULL, those that it would write.
 */
size_t skep_gather(const struct skep_records *records, const uint32_t *chosen, uint32_t count, void *target,
		   uint32_t *offsets, uint32_t stride);

/* The size of each of count records, if all have the same; else 0. */
uint32_t skep_stride(const uint32_t *offsets, uint32_t count);

/* Fills texts of records with zeros from their first NUL on. No text reaches beyond its record. */
void skep_clean(void *data, uint32_t stride, uint32_t count, const struct skep_texts *texts, uint32_t text_count);

/* bulk.c: maps read and written whole. Keys and values lie back to back. */
struct skep_entries {
	size_t key_size, value_size; /* in bytes; a per-CPU value is one multiple of 8 bytes for each possible CPU */
	size_t count, room;
	void *keys, *values;
};

/* All of these return 0 or a negative errno. What is read is to be freed with skep_free. */
int skep_map_read(int fd, int take, size_t limit, struct skep_entries *entries); /* take: deletes what it reads */
int skep_map_write(int fd, struct skep_entries *entries, uint64_t flags);        /* count: how many were written */
int skep_map_delete(int fd, struct skep_entries *entries);                       /* count: how many were there */

/* One number of a value, integers only. */
struct skep_number { uint32_t offset, size; int is_signed; };

/* Puts the values of all CPUs together, number by number: their sum, or the largest. */
void skep_reduce(const void *values, size_t count, uint32_t cpus, size_t stride, int maximum,
		 const struct skep_number *numbers, uint32_t number_count, void *target, size_t size);
