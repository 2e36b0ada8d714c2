package supervise

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// maxAnswer bounds one line of the host.
const maxAnswer = 64 << 10

// aliveEvery is how often the host hears that it is still told everything, and
// hearTime what it may take to read a line: a far one can be gone without a word.
const (
	aliveEvery = 20 * time.Second
	hearTime   = 20 * time.Second
)

// Conn is the host's end of a conversation.
type Conn interface {
	io.ReadWriteCloser
	SetWriteDeadline(t time.Time) error
}

// Talk is the conversation with a host that watches: events out, one a line,
// and answers in. An empty event says nothing but that it goes on. It ends with
// either direction, and closes conn.
func (q *Queue) Talk(conn Conn) {
	w := q.Watch()
	var writing sync.Mutex
	out := json.NewEncoder(conn)
	say := func(e egress.SuperviseEvent) error {
		writing.Lock()
		defer writing.Unlock()
		if err := conn.SetWriteDeadline(time.Now().Add(hearTime)); err != nil {
			return err
		}
		return out.Encode(e)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer conn.Close()
		alive := time.NewTicker(aliveEvery)
		defer alive.Stop()
		for {
			var e egress.SuperviseEvent
			select {
			case next, more := <-w.Events():
				if !more {
					if w.why != "" {
						_ = say(egress.SuperviseEvent{Ended: w.why}) // nobody may read it
					}
					return
				}
				e = next
			case <-alive.C:
			}
			if say(e) != nil {
				return
			}
		}
	}()
	in := bufio.NewScanner(conn)
	in.Buffer(nil, maxAnswer)
	for in.Scan() {
		var a egress.Answer
		err := json.Unmarshal(in.Bytes(), &a)
		if err == nil {
			err = q.Answer(a)
		}
		if err != nil && say(egress.SuperviseEvent{Refused: a.ID + ": " + err.Error()}) != nil {
			break
		}
	}
	w.Close()
	_ = conn.Close()
	<-done
}
