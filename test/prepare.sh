#!/usr/bin/env bash
# prepare.sh race | peers | postgres | cluster | crash | browser: gets what a target of the Makefile needs on Debian.
#
# race   a C compiler, which the race detector links with; installed from Debian when missing.
# peers  Postfix and its resolver of MTA-STS, Exim, OpenSMTPD, unbound, nsd, the tools of ldns, swaks, openssl and HAProxy.
#        They are not installed: as packages some exclude each other and would start on ports 25 and 53. They are downloaded
#        and unpacked under /var/cache/postern-test (some 60 MB) and run from there: some run as users of their own, who can
#        enter that folder wherever the clone lies. Exim and OpenSMTPD insist on the system users their packages would make,
#        so these are made.
# postgres  PostgreSQL's server and its programs, and PgBouncer, unpacked beside the peers; not where they are installed.
# cluster  Patroni with its Python and etcd, unpacked beside the peers.
# crash  strace, and what makes and mounts file systems of ext4 and xfs; installed from Debian when missing.
# browser  Chromium, which drives the console; installed from Debian when missing.
#
# On a desk where something cannot be had this says so and succeeds: the tests that need it skip. With CI set it fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing() {
	echo "prepare: $1" >&2
	if [ -n "${CI:-}" ]; then exit 1; fi
	exit 0
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

# refresh_lists fetches the package lists where there are none.
refresh_lists() {
	apt-cache show postfix >/dev/null 2>&1 || as_root apt-get update -qq
}

race() {
	command -v gcc >/dev/null && return
	command -v apt-get >/dev/null || missing "the race detector needs gcc, and this is not Debian; install it and try again"
	as_root true || missing "the race detector needs gcc: apt-get install gcc libc6-dev"
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev
}

crash() {
	local program packages=()
	for program in strace:strace mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mount:mount; do
		PATH=$PATH:/usr/sbin:/sbin command -v "${program%:*}" >/dev/null || packages+=("${program#*:}")
	done
	[ ${#packages[@]} = 0 ] && return
	command -v apt-get >/dev/null || missing "the crash tests need ${packages[*]}, and this is not Debian; install them and try again"
	as_root true || missing "the crash tests need: apt-get install ${packages[*]}"
	refresh_lists || missing "there are no package lists, and apt-get update does not work"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" ||
		missing "the packages could not be installed: ${packages[*]}"
}

browser() {
	command -v chromium >/dev/null && return
	command -v apt-get >/dev/null || missing "the console is tested in Chromium, and this is not Debian; install it and try again"
	as_root true || missing "the console is tested in Chromium: apt-get install chromium"
	refresh_lists || missing "there are no package lists, and apt-get update does not work"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null ||
		missing "chromium could not be installed"
}

# The programs the tests start, below the folder where the packages were unpacked.
programs=(usr/sbin/postfix usr/lib/postfix/sbin/{master,smtpd,smtp,cleanup,qmgr,tlsmgr} usr/sbin/{exim4,smtpd,unbound,nsd,haproxy}
	usr/bin/{ldns-keygen,ldns-signzone,python3})

# whole reports whether every program of an unpacked root finds the libraries it is linked with, there or on this machine.
# A list of names says nothing: what is unpacked depends on what was installed here on that day.
whole() {
	local root=$1 program libraries
	libraries=$root/usr/lib/postfix:$(printf '%s:' "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu*)
	for program in "${programs[@]}"; do
		[ -x "$root/$program" ] || [ -x "/$program" ] || { echo "prepare: $program is missing" >&2; return 1; }
		[ -x "$root/$program" ] || continue
		if LD_LIBRARY_PATH=$libraries ldd "$root/$program" | grep 'not found' >&2; then
			echo "prepare: $program does not find these" >&2
			return 1
		fi
	done
}

# unpack fetches the packages with all that installing them would add to this machine, and unpacks them below a folder.
unpack() {
	local dir=$1 package deb wanted=()
	shift
	for package in "$@"; do
		mapfile -t -O "${#wanted[@]}" wanted < <(apt-get install -s -y --no-install-recommends "$package" |
			sed -n 's/^Inst \([^ ]*\) .*/\1/p')
	done
	mkdir -p "$dir/debs" "$dir/root"
	(cd "$dir/debs" && apt-get download -qq -o APT::Sandbox::User=root $(printf '%s\n' "${wanted[@]}" | sort -u)) || return 1
	for deb in "$dir"/debs/*.deb; do
		dpkg -x "$deb" "$dir/root" || return 1
	done
	rm -rf "$dir/debs"
	chmod -R go+rX "$dir"
	find "$dir/root" -perm /6000 -exec chmod ug-s {} +
}

peers() {
	local dir=/var/cache/postern-test/peers packages=(postfix postfix-mta-sts-resolver
		exim4-daemon-light opensmtpd unbound nsd ldnsutils swaks libnet-ssleay-perl openssl haproxy)
	command -v apt-get >/dev/null || missing "the tests with real peers need Debian's packages of ${packages[*]}"
	[ "$(id -u)" = 0 ] || missing "real mail servers only start as root; run: sudo make e2e"
	mkdir -p -m 755 "${dir%/*}"
	exec 9>"${dir%/*}/lock" && flock 9 # another clone may be at it
	if [ "$(cat "$dir/complete" 2>/dev/null)" != "${packages[*]}" ] || ! whole "$dir/root"; then
		refresh_lists || missing "there are no package lists, and apt-get update does not work"
		echo "prepare: fetching ${packages[*]}"
		rm -rf "$dir"
		unpack "$dir" "${packages[@]}" || missing "the packages could not be downloaded and unpacked"
		whole "$dir/root" || missing "the packages were unpacked, and do not work here"
		echo "${packages[*]}" >"$dir/complete"
	fi
	local user
	for user in Debian-exim opensmtpd opensmtpq; do
		id "$user" >/dev/null 2>&1 ||
			useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$user"
	done
}

# beside unpacks packages that need no system user in a folder beside the peers, if they are not there yet.
beside() {
	local dir=/var/cache/postern-test/$1
	shift
	command -v apt-get >/dev/null || missing "the tests of several gateways need Debian's packages of $*"
	mkdir -p -m 755 "${dir%/*}" || missing "no folder ${dir%/*} can be made; run: sudo make e2e"
	exec 9>"${dir%/*}/lock" && flock 9 # another clone may be at it
	[ "$(cat "$dir/complete" 2>/dev/null)" != "$*" ] || return 0
	refresh_lists || missing "there are no package lists, and apt-get update does not work"
	echo "prepare: fetching $*"
	rm -rf "$dir"
	unpack "$dir" "$@" || missing "the packages could not be downloaded and unpacked"
	echo "$*" >"$dir/complete"
}

postgres() {
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || beside postgres postgresql-15 postgresql-client-15
	[ -x /usr/sbin/pgbouncer ] || beside pooler pgbouncer
}

cluster() { beside cluster patroni etcd-server; }

case "${1:-}" in
race) race ;;
peers) peers ;;
postgres) postgres ;;
cluster) cluster ;;
crash) crash ;;
browser) browser ;;
*) echo "usage: prepare.sh race | peers | postgres | cluster | crash | browser" >&2; exit 2 ;;
esac
