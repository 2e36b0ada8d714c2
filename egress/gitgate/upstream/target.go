package upstream

import (
	"errors"

	"github.com/bot-bottle/bb/egress"
)

// target is where a repository is.
type target struct {
	scheme string // ssh or https
	host   string // in lower case, without brackets
	port   int
	where  string // HOST:PORT, for people
	user   string // of ssh
	parent bool   // reached through a proxy
}

var errURL = errors.New("the upstream is no ssh://USER@HOST[:PORT]/PATH and no https://HOST[:PORT]/PATH")

// parse takes apart what a document says, as it was judged before.
func parse(raw string) (target, error) {
	u, err := egress.ParseUpstream(raw)
	if err != nil {
		return target{}, errURL
	}
	return target{
		scheme: u.Scheme, host: u.Host, port: u.Port, user: u.User, where: egress.Authority(u.Host, u.Port, 0),
	}, nil
}
