/*
 * What Python calls, beyond libbpf itself. build.py gives this file to cffi as it stands, so it holds declarations only.
 */

/* messages.c: what libbpf says is kept, by thread, until it is asked for. */
void skep_messages_install(void);
char *skep_messages_take(void); /* the text since the last call, or NULL; free with skep_free */
void skep_free(void *memory);

/* object.c */
int skep_write_header(const struct btf *btf, int fd);                /* vmlinux.h; 0 or -errno */
void skep_detach(struct bpf_link **links, size_t count);             /* all at once, each in a thread */

/* drain.c: ring buffers and per-CPU perf buffers, read in batches into the caller's memory. */
struct skep_source;

struct skep_drained {
	size_t bytes;     /* written to the buffer, records back to back */
	uint32_t count;   /* records */
	uint32_t stride;  /* size of each record if all have the same, else 0 */
	uint64_t lost;    /* records dropped before one of these (perf buffers only) */
	size_t needed;    /* not 0: the next record has this size and the buffer cannot hold it even empty */
	int more;         /* not 0: records were left for want of room */
};

struct skep_source *skep_ring_open(int map_fd, size_t size);         /* NULL: see errno */
struct skep_source *skep_perf_open(int map_fd, int cpu, size_t size);
int skep_source_fd(const struct skep_source *source);                /* readable when records wait */
int64_t skep_source_lost(const struct skep_source *source);          /* dropped so far; -1 where the kernel does not tell */
void skep_source_close(struct skep_source *source);

/*
 * Moves what is complete into buffer. offsets has room for limit + 1 numbers; record i lies at offsets[i] to
 * offsets[i + 1]. Returns 0, or -EIO where the buffer's bookkeeping makes no sense.
 */
int skep_drain(struct skep_source *source, void *buffer, size_t capacity, uint32_t *offsets, uint32_t limit,
	       struct skep_drained *drained);
