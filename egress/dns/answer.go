package dns

import (
	"net"
	"strings"

	"github.com/miekg/dns"
)

const (
	headerLen = 12
	// ednsSize is what we say we can take by UDP; our answers are far smaller.
	ednsSize = 1232
)

// Answer returns the reply to one query, or nil where silence is the answer:
// too short to hold a header, or itself a reply (answering those makes loops).
// It never looks further than n.
func (n Names) Answer(query []byte) []byte {
	if len(query) < headerLen || query[2]&0x80 != 0 {
		return nil
	}
	var q dns.Msg
	if err := q.Unpack(query); err != nil {
		return bare(query, dns.RcodeFormatError)
	}
	out, err := n.reply(&q).Pack()
	if err != nil {
		return bare(query, dns.RcodeServerFailure)
	}
	return out
}

// bare is a reply of a header alone, for a query that nothing else can be
// repeated from.
func bare(query []byte, rcode byte) []byte {
	out := make([]byte, headerLen)
	copy(out, query[:2])
	out[2] = query[2]&0x79 | 0x80 // opcode and RD are repeated
	out[3] = rcode
	return out
}

func (n Names) reply(q *dns.Msg) *dns.Msg {
	r := &dns.Msg{Compress: true}
	r.Id, r.Response, r.Opcode = q.Id, true, q.Opcode
	r.RecursionDesired, r.RecursionAvailable = q.RecursionDesired, true
	r.Rcode = n.decide(q, r)
	return r
}

// decide fills r and returns its code; the first thing wrong with q wins.
func (n Names) decide(q, r *dns.Msg) int {
	if q.Opcode != dns.OpcodeQuery {
		return dns.RcodeNotImplemented
	}
	if len(q.Question) != 1 || len(q.Answer) != 0 || len(q.Ns) != 0 {
		return dns.RcodeFormatError
	}
	question := q.Question[0]
	r.Question = q.Question
	switch opts := optRecords(q); {
	case len(opts) > 1:
		return dns.RcodeFormatError
	case len(opts) == 1:
		r.SetEdns0(ednsSize, false)
		if opts[0].Version() != 0 {
			return dns.RcodeBadVers
		}
	}
	if question.Qclass != dns.ClassINET || isTransfer(question.Qtype) {
		return dns.RcodeRefused
	}
	r.Authoritative = true
	addr, ok := n(canonical(question.Name))
	if !ok {
		return dns.RcodeNameError
	}
	// Every other type exists as an empty answer, so that a client asking for
	// AAAA or HTTPS first goes on to A and does not take the name for missing.
	if addr.Is4() && (question.Qtype == dns.TypeA || question.Qtype == dns.TypeANY) {
		r.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: TTL},
			A:   net.IP(addr.AsSlice()),
		}}
	}
	return dns.RcodeSuccess
}

func optRecords(q *dns.Msg) []*dns.OPT {
	var opts []*dns.OPT
	for _, rr := range q.Extra {
		if opt, ok := rr.(*dns.OPT); ok {
			opts = append(opts, opt)
		}
	}
	return opts
}

func isTransfer(qtype uint16) bool {
	switch qtype {
	case dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB:
		return true
	}
	return false
}

// canonical folds ASCII case only. Bytes that are not plain stay escaped as the
// library writes them, so that "egress\000" or "e\.gress" equals no real name.
func canonical(name string) string {
	return strings.TrimSuffix(dns.CanonicalName(name), ".")
}
