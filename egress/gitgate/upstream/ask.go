package upstream

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// askName is what bb is called by when git asks it for a login.
const askName = "bb-askpass"

// askFD is the descriptor that git passes on to it: one end of a pair that no
// other process has, so that nobody but git's own children can ask.
const askFD = 3

// maxAsk bounds a question or an answer, as one line of JSON.
const maxAsk = 64 << 10

type login struct{ user, secret string }

type question struct {
	Prompt string `json:"prompt"`
}

type reply struct {
	OK     bool   `json:"ok"`
	Answer string `json:"answer,omitempty"`
}

// answer answers git's prompts with the logins, keyed by SCHEME://HOST:PORT,
// until end is called.
func (s *session) answer(logins map[string]login) (end func(), err error) {
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, err
	}
	_ = syscall.SetNonblock(pair[0], true) // so that Close ends a read
	ours, theirs := os.NewFile(uintptr(pair[0]), "answers"), os.NewFile(uintptr(pair[1]), "questions")
	s.files = append(s.files, theirs)
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(ours)
		lines.Buffer(nil, maxAsk)
		for lines.Scan() {
			var q question
			if json.Unmarshal(lines.Bytes(), &q) != nil {
				return
			}
			text, ok := match(q.Prompt, logins)
			line, _ := json.Marshal(reply{ok, text})
			if _, err := ours.Write(append(line, '\n')); err != nil {
				return
			}
		}
	}()
	return func() {
		_ = theirs.Close()
		_ = ours.Close()
		<-done
	}, nil
}

// match returns the answer to "Username for 'URL': " or "Password for 'URL': ",
// the prompts of git's credential.c. An address that is not literally one of
// the logins' gets none, whatever else the prompt says.
func match(prompt string, logins map[string]login) (string, bool) {
	what, rest, ok := strings.Cut(prompt, " for '")
	raw, closed := strings.CutSuffix(rest, "': ")
	if !ok || !closed || strings.ContainsAny(raw, "'\\") {
		return "", false
	}
	for _, r := range raw {
		if r <= ' ' || r >= 0x7f {
			return "", false
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", false
	}
	host := strings.ToLower(u.Host)
	if u.Port() == "" {
		host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	l, ok := logins[u.Scheme+"://"+host]
	if !ok || u.User != nil && u.User.Username() != l.user {
		return "", false
	}
	if _, has := u.User.Password(); has {
		return "", false
	}
	switch what {
	case "Username":
		return l.user, true
	case "Password":
		return l.secret, true
	}
	return "", false
}

// Child is bb as what git asks for a password; handled is false for others.
func Child(argv []string) (code int, handled bool) {
	if len(argv) == 0 || filepath.Base(argv[0]) != askName {
		return 0, false
	}
	if len(argv) != 2 {
		return 1, true
	}
	answer, err := ask(argv[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bb-askpass:", err)
		return 1, true
	}
	fmt.Println(answer)
	return 0, true
}

func ask(prompt string) (string, error) {
	_ = syscall.SetNonblock(askFD, true) // for the deadline
	f := os.NewFile(askFD, "questions")
	if f == nil {
		return "", errors.New("nobody to ask")
	}
	defer f.Close()
	_ = f.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := json.Marshal(question{prompt})
	if err != nil {
		return "", err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return "", errors.New("nobody answers")
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxAsk)
	var r reply
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &r) != nil {
		return "", errors.New("nobody answers")
	}
	if !r.OK {
		return "", errors.New("no login for this address")
	}
	return r.Answer, nil
}
