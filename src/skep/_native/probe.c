#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "native.h"

/* What the verifier says of a call that a program type may not make; it says anything else of one that it may. */
static const char *const refusals[] = {"unknown func",	 "invalid func", "cannot use helper", "is not allowed",
				       "not supported", "not found in", "unavailable"};

static enum skep_answer may_call(const struct skep_caller *caller, uint32_t number)
{
	const struct bpf_insn code[] = {
		{.code = BPF_JMP | BPF_CALL, .src_reg = caller->is_function ? BPF_PSEUDO_KFUNC_CALL : 0, .imm = number},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	char log[4096] = "";
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = caller->attach_type,
		    .attach_btf_id = caller->btf_id, .prog_flags = caller->flags, .log_level = 1, .log_buf = log,
		    .log_size = sizeof(log));
	int fd = bpf_prog_load(caller->type, "trial", "GPL", code, sizeof(code) / sizeof(*code), &options);

	if (fd >= 0) {
		close(fd);
		return SKEP_YES;
	}
	if (!*log)
		return SKEP_UNKNOWN;
	if (strstr(log, "device-bound"))
		return SKEP_ON_DEVICE;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (strstr(log, refusals[i]))
			return SKEP_NO;
	return SKEP_YES;
}

void skep_may_call(const struct skep_caller *caller, const uint32_t *numbers, uint32_t count, uint8_t *answers)
{
	for (uint32_t i = 0; i < count; i++)
		answers[i] = may_call(caller, numbers[i]);
}
