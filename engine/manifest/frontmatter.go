package manifest

import "bytes"

// mistake is a message and the next step, before it has a place.
type mistake struct{ message, hint string }

var byteOrderMark = []byte("\xef\xbb\xbf")

// splitFrontmatter returns the YAML between the first two fences and the body
// behind them. The YAML keeps its place: the opening fence and a byte order
// mark before it are overwritten by blanks, so that every position that the
// YAML decoder reports is true for the file.
func splitFrontmatter(src []byte) (matter, body []byte, m *mistake) {
	start := 0
	if bytes.HasPrefix(src, byteOrderMark) {
		start = len(byteOrderMark)
	}
	end := lineEnd(src, start)
	if !isFence(src[start:end]) {
		return nil, nil, &mistake{"no frontmatter", "begin the file with a line --- and the keys, then another line ---"}
	}
	for at := end; at < len(src); {
		next := lineEnd(src, at)
		if isFence(src[at:next]) {
			matter = bytes.Clone(src[:at])
			for i := range end {
				if matter[i] != '\n' && matter[i] != '\r' {
					matter[i] = ' '
				}
			}
			return matter, src[next:], nil
		}
		at = next
	}
	return nil, nil, &mistake{"the frontmatter does not end", "close it with a line ---"}
}

// lineEnd is the offset behind the line that begins at start.
func lineEnd(src []byte, start int) int {
	if i := bytes.IndexByte(src[start:], '\n'); i >= 0 {
		return start + i + 1
	}
	return len(src)
}

// isFence accepts blanks behind the dashes, as editors leave them.
func isFence(line []byte) bool {
	return string(bytes.TrimRight(line, " \t\r\n")) == "---"
}
