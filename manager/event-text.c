/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Texts in events: hostile bytes, times, identifiers, addresses, names of numbers. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "event-internal.h"
#include "quote.h"
#include "macro.h"

void event_put(json_t *obj, const char *key, json_t *value, bool *oom)
{
	if (json_object_set_new(obj, key, value) < 0)
		*oom = true;
}

void event_put_text(json_t *obj, const char *key, const char *s, bool *oom)
{
	if (*s)
		event_put(obj, key, event_text(s, strlen(s)), oom);
}

void event_put_number(json_t *obj, const char *key, uint64_t n, bool *oom)
{
	if (n)
		event_put(obj, key, json_integer((json_int_t)n), oom);
}

size_t event_clean(const char *s, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n;) {
		uint32_t code;
		size_t k = utf8_length(s + i, n - i, &code);

		if (k == 0 || code == 0) {
			memcpy(out + len, EVENT_REPLACEMENT, strlen(EVENT_REPLACEMENT));
			len += strlen(EVENT_REPLACEMENT);
			i++;
			continue;
		}
		memcpy(out + len, s + i, k);
		len += k;
		i += k;
	}
	return len;
}

json_t *event_text(const char *s, size_t n)
{
	_cleanup_free_ char *out = malloc(n * strlen(EVENT_REPLACEMENT) + 1);

	return out ? json_stringn(out, event_clean(s, n, out)) : NULL;
}

void event_put_time(struct line *l, const char *key, uint64_t boot_ns, int64_t boot_offset_ns)
{
	line_time(l, key, (int64_t)(boot_ns + (uint64_t)boot_offset_ns));
}

/* As inet_ntop() has them, which takes long for the common ones. */
static const char *address4(const uint8_t *addr, char buf[EVENT_ADDR_SIZE])
{
	char *to = buf;

	for (size_t i = 0; i < 4; i++) {
		if (addr[i] >= 100)
			*to++ = (char)('0' + addr[i] / 100);
		if (addr[i] >= 10)
			*to++ = (char)('0' + addr[i] / 10 % 10);
		*to++ = (char)('0' + addr[i] % 10);
		*to++ = '.';
	}
	to[-1] = '\0';
	return buf;
}

const char *event_address(unsigned int family, const uint8_t *addr, char buf[EVENT_ADDR_SIZE])
{
	if (family == AF_INET)
		return address4(addr, buf);
	return family == AF_INET6 ? inet_ntop(AF_INET6, addr, buf, EVENT_ADDR_SIZE) : "invalid IP";
}

/* Names are looked up with a default: only numbers that policies can write have one. */

static const char *number(unsigned int n, char buf[12])
{
	snprintf(buf, 12, "%u", n);
	return buf;
}

#define NAME(prefix, x) \
	case prefix##x: \
		return #prefix #x

const char *event_errno_name(int error, char buf[12])
{
	const char *name = strerrorname_np(-error);

	if (name)
		return name;
	snprintf(buf, 12, "%d", -error);
	return buf;
}

const char *event_family_name(unsigned int family, char buf[12])
{
	switch (family) {
		NAME(AF_, UNSPEC);
		NAME(AF_, UNIX);
		NAME(AF_, INET);
		NAME(AF_, AX25);
		NAME(AF_, IPX);
		NAME(AF_, APPLETALK);
		NAME(AF_, NETROM);
		NAME(AF_, BRIDGE);
		NAME(AF_, ATMPVC);
		NAME(AF_, X25);
		NAME(AF_, INET6);
		NAME(AF_, ROSE);
		NAME(AF_, DECnet);
		NAME(AF_, NETBEUI);
		NAME(AF_, SECURITY);
		NAME(AF_, KEY);
		NAME(AF_, NETLINK);
		NAME(AF_, PACKET);
		NAME(AF_, ASH);
		NAME(AF_, ECONET);
		NAME(AF_, ATMSVC);
		NAME(AF_, RDS);
		NAME(AF_, SNA);
		NAME(AF_, IRDA);
		NAME(AF_, PPPOX);
		NAME(AF_, WANPIPE);
		NAME(AF_, LLC);
		NAME(AF_, IB);
		NAME(AF_, MPLS);
		NAME(AF_, CAN);
		NAME(AF_, TIPC);
		NAME(AF_, BLUETOOTH);
		NAME(AF_, IUCV);
		NAME(AF_, RXRPC);
		NAME(AF_, ISDN);
		NAME(AF_, PHONET);
		NAME(AF_, IEEE802154);
		NAME(AF_, CAIF);
		NAME(AF_, ALG);
		NAME(AF_, NFC);
		NAME(AF_, VSOCK);
		NAME(AF_, KCM);
		NAME(AF_, QIPCRTR);
		NAME(AF_, SMC);
		NAME(AF_, XDP);
	case 45:
		return "AF_MCTP";
	default:
		return number(family, buf);
	}
}

const char *event_type_name(unsigned int type, char buf[12])
{
	switch (type) {
		NAME(SOCK_, STREAM);
		NAME(SOCK_, DGRAM);
		NAME(SOCK_, RAW);
		NAME(SOCK_, RDM);
		NAME(SOCK_, SEQPACKET);
		NAME(SOCK_, DCCP);
		NAME(SOCK_, PACKET);
	default:
		return number(type, buf);
	}
}

int event_type_parse(const char *name)
{
	char buf[12];

	for (int type = 0; strncmp(name, "SOCK_", 5) == 0 && type <= SOCK_PACKET; type++)
		if (strcmp(event_type_name((unsigned int)type, buf), name) == 0)
			return type;
	return -1;
}

const char *event_protocol_name(unsigned int protocol, char buf[12])
{
	switch (protocol) {
		NAME(IPPROTO_, IP);
		NAME(IPPROTO_, ICMP);
		NAME(IPPROTO_, IGMP);
		NAME(IPPROTO_, IPIP);
		NAME(IPPROTO_, TCP);
		NAME(IPPROTO_, EGP);
		NAME(IPPROTO_, PUP);
		NAME(IPPROTO_, UDP);
		NAME(IPPROTO_, IDP);
		NAME(IPPROTO_, TP);
		NAME(IPPROTO_, DCCP);
		NAME(IPPROTO_, IPV6);
		NAME(IPPROTO_, RSVP);
		NAME(IPPROTO_, GRE);
		NAME(IPPROTO_, ESP);
		NAME(IPPROTO_, AH);
		NAME(IPPROTO_, MTP);
		NAME(IPPROTO_, BEETPH);
		NAME(IPPROTO_, ENCAP);
		NAME(IPPROTO_, PIM);
		NAME(IPPROTO_, COMP);
		NAME(IPPROTO_, SCTP);
		NAME(IPPROTO_, UDPLITE);
		NAME(IPPROTO_, MPLS);
		NAME(IPPROTO_, RAW);
		NAME(IPPROTO_, MPTCP);
	case 143:
		return "IPPROTO_ETHERNET";
	default:
		return number(protocol, buf);
	}
}

const char *event_state_name(unsigned int state, char buf[12])
{
	switch (state) {
		NAME(TCP_, ESTABLISHED);
		NAME(TCP_, SYN_SENT);
		NAME(TCP_, SYN_RECV);
		NAME(TCP_, FIN_WAIT1);
		NAME(TCP_, FIN_WAIT2);
		NAME(TCP_, TIME_WAIT);
		NAME(TCP_, CLOSE);
		NAME(TCP_, CLOSE_WAIT);
		NAME(TCP_, LAST_ACK);
		NAME(TCP_, LISTEN);
		NAME(TCP_, CLOSING);
	case 12:
		return "TCP_NEW_SYN_RECV";
	default:
		return number(state, buf);
	}
}
