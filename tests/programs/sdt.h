/*
 * USDT probes as <sys/sdt.h> makes them, which Debian keeps in a package of its own: a nop, and a note that says where it
 * is, whose semaphore counts the tracers ("0": none), and where its arguments lie ("" for none, else as "-4@%0 8@%1").
 */
#define PROBE_OF(provider, name, semaphore, places, ...)                                                       \
	__asm__ volatile("990: nop\n"                                                                           \
			 ".pushsection .note.stapsdt,\"\",\"note\"\n"                                           \
			 ".balign 4\n"                                                                          \
			 ".4byte 992f-991f, 994f-993f, 3\n"                                                     \
			 "991: .asciz \"stapsdt\"\n"                                                            \
			 "992: .balign 4\n"                                                                     \
			 "993: .8byte 990b, _.stapsdt.base, " semaphore "\n"                                    \
			 ".asciz \"" provider "\", \"" name "\", \"" places "\"\n"                               \
			 "994: .balign 4\n"                                                                     \
			 ".popsection\n"                                                                        \
			 ".ifndef _.stapsdt.base\n"                                                             \
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                 \
			 ".weak _.stapsdt.base\n"                                                               \
			 ".hidden _.stapsdt.base\n"                                                             \
			 "_.stapsdt.base: .space 1\n"                                                           \
			 ".size _.stapsdt.base, 1\n"                                                            \
			 ".popsection\n"                                                                        \
			 ".endif\n"                                                                             \
			 :                                                                                      \
			 : __VA_ARGS__)

/* An argument of a probe. */
#define ARGUMENT(value) "nr"(value)

/* A probe with one. */
#define PROBE(provider, name, semaphore, place, argument) PROBE_OF(provider, name, semaphore, place, ARGUMENT(argument))

/* A semaphore, counted up by the kernel for each that looks. */
#define SEMAPHORE(name) __attribute__((section(".probes"), used)) unsigned short name
