/* <bcc/proto.h>: headers of packets, field by field in the order of the wire; a field is read from the packet itself,
 * and written to it. A pointer to such a struct is the place of the header in the packet.
 */
#ifndef SKEP_BCC_PACKET_H
#define SKEP_BCC_PACKET_H

#define BPF_PACKET_HEADER __attribute__((packed, annotate("packet")))


unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long offset) asm("llvm.bpf.load.word");

/* These become the helpers that mend checksums (skep.bcc.rewriting). */
int incr_cksum_l3(void *place, u64 before, u64 after);
int incr_cksum_l4(void *place, u64 before, u64 after, u64 has_pseudo_header);

/* A field: so many bits, so many behind the first of a byte; 0 where the packet ends before it. */
static inline __attribute__((always_inline, unused)) u64
skep_packet(struct __sk_buff *skb, u64 offset, unsigned int skipped, unsigned int bits)
{
	unsigned int length = (skipped + bits + 7) / 8;
	u8 bytes[8] = {};
	u64 value = 0;

	bpf_skb_load_bytes(skb, offset, bytes, length);
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (i < length)
			value = value << 8 | bytes[i];
	value >>= length * 8 - skipped - bits;
	return bits == 64 ? value : value & ((1ULL << bits) - 1);
}

/* Writes a field; bits beside it stay as they are, and so does the packet where it ends before the field. */
static inline __attribute__((always_inline, unused)) void
skep_store_packet(struct __sk_buff *skb, u64 offset, unsigned int skipped, unsigned int bits, u64 value)
{
	unsigned int length = (skipped + bits + 7) / 8, behind = length * 8 - skipped - bits;
	u64 mask = (bits == 64 ? ~0ULL : (1ULL << bits) - 1) << behind;
	u64 whole = skep_packet(skb, offset, 0, length * 8);
	u8 bytes[8] = {};

	whole = (whole & ~mask) | (value << behind & mask);
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (i < length)
			bytes[i] = whole >> (length - 1 - i) * 8;
	bpf_skb_store_bytes(skb, offset, bytes, length, 0);
}

struct ethernet_t {
	unsigned long long dst : 48;
	unsigned long long src : 48;
	unsigned int type : 16;
} BPF_PACKET_HEADER;

struct dot1q_t {
	unsigned short pri : 3;
	unsigned short cfi : 1;
	unsigned short vlanid : 12;
	unsigned short type;
} BPF_PACKET_HEADER;

struct arp_t {
	unsigned short htype;
	unsigned short ptype;
	unsigned char hlen;
	unsigned char plen;
	unsigned short oper;
	unsigned long long sha : 48;
	unsigned long long spa : 32;
	unsigned long long tha : 48;
	unsigned int tpa;
} BPF_PACKET_HEADER;

struct ip_t {
	unsigned char ver : 4;
	unsigned char hlen : 4;
	unsigned char tos;
	unsigned short tlen;
	unsigned short identification;
	unsigned short ffo_unused : 1;
	unsigned short df : 1;
	unsigned short mf : 1;
	unsigned short foffset : 13;
	unsigned char ttl;
	unsigned char nextp;
	unsigned short hchecksum;
	unsigned int src;
	unsigned int dst;
} BPF_PACKET_HEADER;

struct icmp_t {
	unsigned char type;
	unsigned char code;
	unsigned short checksum;
} BPF_PACKET_HEADER;

struct ip6_t {
	unsigned int ver : 4;
	unsigned int priority : 8;
	unsigned int flow_label : 20;
	unsigned short payload_len;
	unsigned char next_header;
	unsigned char hop_limit;
	unsigned long long src_hi;
	unsigned long long src_lo;
	unsigned long long dst_hi;
	unsigned long long dst_lo;
} BPF_PACKET_HEADER;

struct ip6_opt_t {
	unsigned char next_header;
	unsigned char ext_len;
	unsigned char pad[6];
} BPF_PACKET_HEADER;

struct icmp6_t {
	unsigned char type;
	unsigned char code;
	unsigned short checksum;
} BPF_PACKET_HEADER;

struct udp_t {
	unsigned short sport;
	unsigned short dport;
	unsigned short length;
	unsigned short crc;
} BPF_PACKET_HEADER;

struct tcp_t {
	unsigned short src_port;
	unsigned short dst_port;
	unsigned int seq_num;
	unsigned int ack_num;
	unsigned char offset : 4;
	unsigned char reserved : 4;
	unsigned char flag_cwr : 1;
	unsigned char flag_ece : 1;
	unsigned char flag_urg : 1;
	unsigned char flag_ack : 1;
	unsigned char flag_psh : 1;
	unsigned char flag_rst : 1;
	unsigned char flag_syn : 1;
	unsigned char flag_fin : 1;
	unsigned short rcv_wnd;
	unsigned short cksum;
	unsigned short urg_ptr;
} BPF_PACKET_HEADER;

struct vxlan_t {
	unsigned int rsv1 : 4;
	unsigned int iflag : 1;
	unsigned int rsv2 : 3;
	unsigned int rsv3 : 24;
	unsigned int key : 24;
	unsigned int rsv4 : 8;
} BPF_PACKET_HEADER;

struct vxlan_gbp_t {
	unsigned int gflag : 1;
	unsigned int rsv1 : 3;
	unsigned int iflag : 1;
	unsigned int rsv2 : 3;
	unsigned int rsv3 : 1;
	unsigned int dflag : 1;
	unsigned int rsv4 : 1;
	unsigned int rsv5 : 1;
	unsigned int aflag : 1;
	unsigned int rsv6 : 3;
	unsigned int tag : 16;
	unsigned int key : 24;
	unsigned int rsv7 : 8;
} BPF_PACKET_HEADER;

#endif
