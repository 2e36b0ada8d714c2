package tokens

// class is a set of kinds of characters.
type class uint16

const (
	digit      class = 1 << iota
	lowerAF          // a-f
	lowerRest        // g-z
	upperAF          // A-F
	upperRest        // G-Z
	underscore       // _
	dash             // -
	dot              // .
	signs            // + and /
	equals           // =
	tilde            // ~

	lower     = lowerAF | lowerRest
	upper     = upperAF | upperRest
	alnum     = digit | lower | upper
	word      = alnum | underscore
	hex       = digit | lowerAF
	anyHex    = hex | upperAF
	base64URL = word | dash
	base64Std = alnum | signs
)

// classes says of every byte which kind it is.
var classes = func() (t [256]class) {
	for c, chars := range map[class]string{
		digit: "0123456789", lowerAF: "abcdef", lowerRest: "ghijklmnopqrstuvwxyz",
		upperAF: "ABCDEF", upperRest: "GHIJKLMNOPQRSTUVWXYZ",
		underscore: "_", dash: "-", dot: ".", signs: "+/", equals: "=", tilde: "~",
	} {
		for _, b := range []byte(chars) {
			t[b] = c
		}
	}
	return t
}()

// all says whether every character of b is of a class.
func all(b []byte, c class) bool { return run(b, 0, len(b), c) == len(b) }

// count returns how many characters of b are of a class.
func count(b []byte, c class) int {
	n := 0
	for _, x := range b {
		if classes[x]&c != 0 {
			n++
		}
	}
	return n
}
