package dns

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tests build and read wire form by hand: the library under test must not
// be its own judge.

const (
	typeA, typeAAAA, typeHTTPS, typeSVCB, typeANY, typeAXFR, typeTXT = 1, 28, 65, 64, 255, 252, 16
	classIN, classCH, classANY                                       = 1, 3, 255

	noError, formErr, servFail, nxDomain, notImp, refused = 0, 1, 2, 3, 4, 5
)

// header is the 12 bytes of a query with recursion desired.
func header(flags uint16, counts ...uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0xbeef)
	b = binary.BigEndian.AppendUint16(b, flags)
	for i := range 4 {
		var count uint16
		if i < len(counts) {
			count = counts[i]
		}
		b = binary.BigEndian.AppendUint16(b, count)
	}
	return b
}

func question(name string, qtype, class uint16) []byte {
	var b []byte
	if name != "" {
		for label := range strings.SplitSeq(name, ".") {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, qtype)
	return binary.BigEndian.AppendUint16(b, class)
}

func ask(name string, qtype, class uint16) []byte {
	return append(header(0x0100, 1), question(name, qtype, class)...)
}

// opt is an EDNS record of the given version with one unknown option.
func opt(version byte) []byte {
	return []byte{0, 0, 41, 0x10, 0, 0, version, 0x80, 0, 0, 7, 0xff, 0, 0, 3, 'a', 'b', 'c'}
}

type view struct {
	Rcode, Answers, Extra int
	Address               string
}

func read(t *testing.T, query, reply []byte) *view {
	t.Helper()
	if reply == nil {
		return nil
	}
	if len(reply) < 12 || !bytes.Equal(reply[:2], query[:2]) || reply[2]&0x80 == 0 {
		t.Fatalf("not a reply to the query: %x", reply)
	}
	v := &view{
		Rcode:   int(reply[3] & 0xf),
		Answers: int(binary.BigEndian.Uint16(reply[6:])),
		Extra:   int(binary.BigEndian.Uint16(reply[10:])),
	}
	if v.Answers == 1 {
		tail := reply[:len(reply)-11*v.Extra]
		if ttl := binary.BigEndian.Uint32(tail[len(tail)-10:]); ttl != TTL {
			t.Errorf("ttl %d", ttl)
		}
		v.Address = netip.AddrFrom4([4]byte(tail[len(tail)-4:])).String()
	}
	return v
}

func TestAnswer(t *testing.T) {
	nx := &view{Rcode: nxDomain}
	own := &view{Answers: 1, Address: "127.0.0.1"}
	empty := &view{}
	twoQuestions := append(header(0x0100, 2), question("egress", typeA, classIN)...)
	twoQuestions = append(twoQuestions, question("git-gate", typeA, classIN)...)
	withOpt := func(opts ...[]byte) []byte {
		q := append(header(0x0100, 1, 0, 0, uint16(len(opts))), question("egress", typeA, classIN)...)
		return append(q, bytes.Join(opts, nil)...)
	}
	answerInQuery := append(header(0x0100, 1, 1), question("egress", typeA, classIN)...)
	answerInQuery = append(answerInQuery, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 1, 2, 3, 4)
	pointerLoop := append(header(0x0100, 1), 0xc0, 12, 0, 1, 0, 1)
	asReply := ask("egress", typeA, classIN)
	asReply[2] |= 0x80

	tests := []struct {
		name  string
		query []byte
		want  *view
	}{
		{"proxy", ask("egress", typeA, classIN), own},
		{"git gate", ask("git-gate", typeA, classIN), own},
		{"supervise", ask("supervise", typeA, classIN), own},
		{"local pages", ask("_egress.local", typeA, classIN), &view{Answers: 1, Address: "127.0.0.53"}},
		{"mixed case", ask("eGrESs", typeA, classIN), own},
		{"any type", ask("egress", typeANY, classIN), own},
		{"no AAAA", ask("egress", typeAAAA, classIN), empty},
		{"no HTTPS record", ask("egress", typeHTTPS, classIN), empty},
		{"no SVCB record", ask("egress", typeSVCB, classIN), empty},
		{"no TXT", ask("egress", typeTXT, classIN), empty},
		{"outside name", ask("api.anthropic.com", typeA, classIN), nx},
		{"data in labels", ask("c2VjcmV0.evil.example", typeTXT, classIN), nx},
		{"below an own name", ask("x.egress", typeA, classIN), nx},
		{"own name with a search domain", ask("egress.corp.example", typeA, classIN), nx},
		{"metadata", ask("metadata.google.internal", typeA, classIN), nx},
		{"root", ask("", typeA, classIN), nx},
		{"localhost", ask("localhost", typeA, classIN), nx},
		{"reverse", ask("1.0.0.127.in-addr.arpa", 12, classIN), nx},
		{"NUL in the name", ask("egress\x00", typeA, classIN), nx},
		{"dot inside a label", append(header(0x0100, 1), append([]byte("\x07egress."), 0, 0, 1, 0, 1)...), nx},
		{"chaos class", ask("version.bind", typeTXT, classCH), &view{Rcode: refused}},
		{"any class", ask("egress", typeA, classANY), &view{Rcode: refused}},
		{"zone transfer", ask("egress", typeAXFR, classIN), &view{Rcode: refused}},
		{"update", append(header(0x2900, 1), question("egress", 6, classIN)...), &view{Rcode: notImp}},
		{"notify", append(header(0x2100, 1), question("egress", 6, classIN)...), &view{Rcode: notImp}},
		{"no question", header(0x0100), &view{Rcode: formErr}},
		{"two questions", twoQuestions, &view{Rcode: formErr}},
		{"an answer in the query", answerInQuery, &view{Rcode: formErr}},
		{"cut off", ask("egress", typeA, classIN)[:15], &view{Rcode: formErr}},
		{"pointer to itself", pointerLoop, &view{Rcode: formErr}},
		{"EDNS", withOpt(opt(0)), &view{Answers: 1, Extra: 1, Address: "127.0.0.1"}},
		{"EDNS of the future", withOpt(opt(9)), &view{Extra: 1}}, // BADVERS is 16: the low four bits are 0
		{"EDNS twice", withOpt(opt(0), opt(0)), &view{Rcode: formErr}},
		{"a reply", asReply, nil},
		{"too short", []byte{1, 2, 3}, nil},
		{"nothing", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := read(t, tt.query, Names(Own).Answer(tt.query))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// policy knows two names as a proxy with the routes api.example.org and
// *.w.example would.
func policy() Names {
	return Policy(func(host string) bool {
		label, ok := strings.CutSuffix(host, ".w.example")
		return host == "api.example.org" || host == "127.0.0.1" || ok && !strings.Contains(label, ".")
	})
}

// Attacks A1, A4, A6: what the policy names leads to the transparent ports, all
// else nowhere, and no type but A says anything.
func TestPolicy(t *testing.T) {
	nx, empty := &view{Rcode: nxDomain}, &view{}
	allowed := &view{Answers: 1, Address: "127.0.0.53"}
	own := &view{Answers: 1, Address: "127.0.0.1"}
	long := strings.Repeat("a", 63)
	for name, tt := range map[string]struct {
		query []byte
		want  *view
	}{
		"own":               {ask("egress", typeA, classIN), own},
		"local pages":       {ask("_egress.local", typeA, classIN), allowed},
		"allowed":           {ask("api.example.org", typeA, classIN), allowed},
		"allowed, any type": {ask("api.example.org", typeANY, classIN), allowed},
		"mixed case":        {ask("API.Example.oRG", typeA, classIN), allowed},
		"wildcard":          {ask("x.w.example", typeA, classIN), allowed},
		"wildcard, long":    {ask(long+".w.example", typeA, classIN), allowed},
		"no AAAA":           {ask("api.example.org", typeAAAA, classIN), empty},
		"no HTTPS":          {ask("api.example.org", typeHTTPS, classIN), empty},
		"no SVCB":           {ask("api.example.org", typeSVCB, classIN), empty},
		"no TXT":            {ask("c2VjcmV0.w.example", typeTXT, classIN), empty},
		"wildcard's suffix": {ask("w.example", typeA, classIN), nx},
		"two labels":        {ask("a.b.w.example", typeA, classIN), nx},
		"below":             {ask("x.api.example.org", typeA, classIN), nx},
		"suffix trick":      {ask("api.example.org.evil.test", typeA, classIN), nx},
		"search domain":     {ask("api.example.org.corp", typeA, classIN), nx},
		"prefix trick":      {ask("evil-api.example.org", typeA, classIN), nx},
		"NUL":               {ask("evil\x00.w.example", typeA, classIN), nx},
		"dot in a label":    {append(header(0x0100, 1), append([]byte("\x03a.b\x01w\x07example"), 0, 0, 1, 0, 1)...), nx},
		"space":             {ask("a b.w.example", typeA, classIN), nx},
		"underscore":        {ask("a_b.w.example", typeA, classIN), nx},
		"not ASCII":         {ask("b\xc3\xbc.w.example", typeA, classIN), nx},
		"hyphen":            {ask("-a.w.example", typeA, classIN), nx},
		"address":           {ask("127.0.0.1", typeA, classIN), nx},
		"chaos":             {ask("api.example.org", typeA, classCH), &view{Rcode: refused}},
		"transfer":          {ask("api.example.org", typeAXFR, classIN), &view{Rcode: refused}},
	} {
		if diff := cmp.Diff(tt.want, read(t, tt.query, policy().Answer(tt.query))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestAnswerRepeatsTheQuestionAsAsked(t *testing.T) {
	query := ask("eGrESs", typeA, classIN)
	reply := Names(Own).Answer(query)
	if !bytes.Contains(reply, query[12:]) {
		t.Errorf("question of %x not repeated in %x", query, reply)
	}
}

func TestAnswerBadVersion(t *testing.T) {
	query := append(header(0x0100, 1, 0, 0, 1), question("egress", typeA, classIN)...)
	reply := Names(Own).Answer(append(query, opt(1)...))
	// The upper eight bits of the code live in the OPT record's TTL.
	if extended := reply[len(reply)-6]; extended != 1 {
		t.Errorf("extended code %d, want 1 (BADVERS): %x", extended, reply)
	}
}

func TestNamesAreAskedInCanonicalForm(t *testing.T) {
	var seen []string
	names := Names(func(name string) (netip.Addr, bool) {
		seen = append(seen, name)
		return netip.MustParseAddr("127.0.0.53"), true
	})
	reply := read(t, ask("API.Example.Org", typeA, classIN), names.Answer(ask("API.Example.Org", typeA, classIN)))
	if diff := cmp.Diff(&view{Answers: 1, Address: "127.0.0.53"}, reply); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"api.example.org"}, seen); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(ask("egress", typeA, classIN))
	f.Add(ask("x.example.org", typeAAAA, classIN))
	f.Add(ask("x.w.example", typeA, classIN))
	f.Add(append(header(0x0100, 1), 0xc0, 12, 0, 1, 0, 1))
	f.Add(append(append(header(0x0100, 1, 0, 0, 1), question("egress", typeA, classIN)...), opt(0)...))
	f.Fuzz(func(t *testing.T, query []byte) {
		if len(query) > maxQuery {
			return
		}
		reply := policy().Answer(query)
		if reply == nil {
			return
		}
		// 512 is what a client without EDNS takes by UDP: never larger.
		if v := read(t, query, reply); len(reply) > 512 || v.Rcode == servFail {
			t.Errorf("%d bytes, code %d for %x", len(reply), v.Rcode, query)
		} else if v.Address != "" && v.Address != "127.0.0.1" && v.Address != "127.0.0.53" {
			t.Errorf("address %s for %x", v.Address, query)
		}
	})
}
