# shellcheck shell=bash
# What the scripts beside this file share. Sourced, never run.

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

die() {
	say "$@"
	exit 1
}

# may_install tells whether this is a machine on which packages can be added
# without asking anyone: root on a system with apt.
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# install_packages NAME... adds Debian packages and says so; what apt says is
# shown when it fails. Names that the release does not have are left out:
# releases split packages differently.
install_packages() {
	may_install || die "cannot install $*: that needs root on Debian or Ubuntu"
	say "installing $*"
	local log name found=()
	log=$(mktemp)
	apt-get update >"$log" 2>&1 || { cat "$log" >&2 && die "apt-get update failed"; }
	for name; do
		if apt-cache show "$name" >/dev/null 2>&1; then found+=("$name"); fi
	done
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${found[@]}" >"$log" 2>&1 ||
		{ cat "$log" >&2 && die "could not install $*"; }
	rm -f "$log"
}

# build_ca lets image builds work behind a proxy that re-signs TLS: what this
# machine was told to trust, the builds must trust too.
build_ca() {
	if [ -z "${BB_BUILD_CA:-}" ] && [ -n "${SSL_CERT_FILE:-}" ]; then
		export BB_BUILD_CA=$SSL_CERT_FILE
		say "image builds trust SSL_CERT_FILE ($SSL_CERT_FILE)"
	fi
}
