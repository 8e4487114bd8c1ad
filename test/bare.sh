#!/usr/bin/env bash
# bare.sh short | full [FORM ...]: runs the README's two commands in a fresh Debian root that has nothing but Go, git and make.
#
# A machine that has built and tested this project for a while has packages, users, caches and folders that nobody
# remembers. Here there are none: a root of `debootstrap --variant=minbase`, this machine's Go copied into it, git and make
# installed, a clone of what is committed, no caches, nothing of this machine's environment.
#
# full   four forms, or those named: root-open, root-closed, user-open, user-closed. Closed is a clone below a folder of mode
#        0700, for root in the home of somebody else; user is an ordinary user without sudo. Each runs
#        `go run ./cmd/postern demo` and `make test`, and prints how long they took.
# short  one form, root-closed: the demo, and each real peer started once. For continuous integration.
#
# It needs root and debootstrap, which is installed when missing. Everything stays below /var/tmp/postern-bare, which is
# removed at the end; POSTERN_BARE_KEEP=1 keeps it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=/var/tmp/postern-bare
forms=(root-open root-closed user-open user-closed)

missing() {
	echo "bare: NOT RUN: $1" >&2
	if [ -n "${CI:-}" ]; then exit 1; fi
	exit 0
}

# mirror prints where this machine gets Debian's own packages, and of which release.
mirror() {
	apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
		awk '$1 == "Debian" && $2 == "main" && $3 !~ /-/ { print $3, $4; exit }'
}

# sweep removes all of it. A debootstrap that was cut off leaves /proc mounted there, into which nothing may walk.
sweep() {
	umount -q "$work/base/proc" "$work/base/sys" 2>/dev/null || true
	rm -rf --one-file-system "$work"
}

# base makes the root that the forms start from.
base() {
	local release uri
	command -v debootstrap >/dev/null ||
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; } ||
		missing "debootstrap cannot be installed"
	[ -n "$(mirror)" ] || apt-get update -qq || missing "there are no package lists, and apt-get update does not work"
	read -r release uri < <(mirror) || missing "this machine has no source of Debian's packages"
	sweep && mkdir -p -m 755 "$work"
	debootstrap --variant=minbase "$release" "$work/base" "$uri" >"$work/log" 2>&1 || { tail "$work/log"; exit 1; }
	cp /etc/hosts "$work/base/etc/hosts"
	cp -a "$(go env GOROOT)" "$work/base/usr/local/go"
	enter "$work/base" root / 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq git make' >"$work/log" 2>&1 ||
		{ tail "$work/log"; exit 1; }
	cp /etc/ssl/certs/ca-certificates.crt "$work/base/etc/ssl/certs/" # a network may have a root of its own
	enter "$work/base" root / 'useradd --create-home --shell /bin/bash visitor && chmod 755 /home/visitor'
}

# enter ROOT USER FOLDER COMMAND runs a command inside, in namespaces that end with it, with an environment of its own.
# What a machine needs to reach the Go module proxy is passed on.
enter() {
	local root=$1 user=$2 folder=$3 command=$4 passed=() name
	for name in GOPROXY GOSUMDB GONOSUMDB http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY CI; do
		[ -n "${!name:-}" ] && passed+=("$name=${!name}")
	done
	unshare --mount --pid --fork --kill-child -- bash -c '
		set -e
		root=$1 user=$2 folder=$3 command=$4; shift 4
		mount --make-rprivate /
		mount -t proc proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/run"
		home=$(chroot "$root" getent passwd "$user" | cut -d: -f6)
		exec chroot "$root" env -i "$@" HOME="$home" USER="$user" PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			setpriv --reuid "$user" --regid "$user" --init-groups bash -c "cd \"\$0\" && $command" "$folder"
	' bash "$root" "$user" "$folder" "$command" "${passed[@]}"
}

# clone FORM makes a root of its own for a form with the project in it, and sets root, user and folder.
clone() {
	local form=$1 home=/srv
	root=$work/$form user=root
	cp -a "$work/base" "$root"
	[ "${form%-*}" = user ] && user=visitor home=/home/visitor
	folder=$home/postern
	if [ "${form#*-}" = closed ]; then
		home=/home/visitor/private folder=/home/visitor/private/postern
		mkdir -m 700 "$root$home"
		chroot "$root" chown visitor: "$home"
	fi
	git clone -q --no-hardlinks "$PWD" "$root$folder"
	chroot "$root" chown -R "$user": "$folder"
}

# timed WHAT COMMAND runs a command in the form at hand and says how long it took; what it printed is kept.
timed() {
	local what=$1 command=$2 began=$SECONDS out=$work/$1.log
	echo "== $form: $command"
	if ! enter "$root" "$user" "$folder" "$command" </dev/null >"$out" 2>&1; then
		echo "bare: FAILED after $((SECONDS - began)) s: $form: $command" >&2
		tail -n "${POSTERN_BARE_LINES:-200}" "$out" >&2
		exit 1
	fi
	grep -E 'SKIP|NOT RUN|skipped' "$out" | sort | uniq -c || true
	echo "   done in $((SECONDS - began)) s"
}

[ "$(id -u)" = 0 ] || missing "making a root needs root"
command -v apt-get >/dev/null || missing "this is not Debian"
mode=${1:-}
shift || true
case $mode in
short) selected=(root-closed) ;;
full) selected=("${@:-}"); [ -n "${selected[0]}" ] || selected=("${forms[@]}") ;;
*) echo "usage: bare.sh short | full [FORM ...], of ${forms[*]}" >&2; exit 2 ;;
esac
exec 9>/var/lock/postern-bare && flock 9
[ -n "${POSTERN_BARE_KEEP:-}" ] || trap sweep EXIT
began=$SECONDS
base
echo "== a fresh root in $((SECONDS - began)) s"
for form in "${selected[@]}"; do
	clone "$form"
	timed demo 'go run ./cmd/postern demo'
	if [ "$mode" = short ]; then
		timed peers 'CI=true test/prepare.sh peers && CI=true go test -count=1 ./test/peers'
	else
		timed test 'make test'
	fi
	[ -n "${POSTERN_BARE_KEEP:-}" ] || rm -rf --one-file-system "$root"
done
echo "== bare: all done in $((SECONDS - began)) s"
