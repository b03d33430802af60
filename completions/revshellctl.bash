# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of revshellctl for bash.

_revshellctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word verb= group=
	local -a words=()

	# "--option=value" comes as three words.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $prev in
	--json) words=(off short pretty) ;;
	--output | -o) words=(compact json tetragon) ;;
	--verdict) words=(allowed would-deny denied killed) ;;
	--bus) words=(system session) ;;
	--policy) words=($(revshellctl policy list --no-legend 2>/dev/null | cut -d' ' -f1)) ;;
	--hook) words=(connect listen bind sendmsg create accept setsockopt) ;;
	--protocol) words=(tcp udp sctp mptcp) ;;
	--family) words=(inet inet6 unix) ;;
	--type) words=(stream dgram raw seqpacket) ;;
	--state) words=(established syn_sent close listen) ;;
	--stdio) words=(none socket 0 1 2) ;;
	--caps) words=(none all) ;;
	--namespaces) words=(host) ;;
	--uid | --auid) words=($(compgen -u)) ;;
	--gid) words=($(compgen -g)) ;;
	--unit | --dst | --src | --arg | --pid | --ancestors) return ;;
	--confirm) words=(30s 5m 1h) ;;
	--since) words=(10m 2h today yesterday) ;;
	--host | -H) words=($(compgen -A hostname)) ;;
	--lines | -n | --reason) return ;;
	--exe | --parent | --lineage)
		COMPREPLY=($(compgen -f -- "$cur"))
		return
		;;
	esac
	if [[ ${#words[@]} -gt 0 ]]; then
		COMPREPLY=($(compgen -W "${words[*]}" -- "$cur"))
		return
	fi
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		policy) group=policy ;;
		status | enforce | confirm | rollback | lock | apply | reload | events | explain | simulate | stats | doctor | stop | version | help) verb=${verb:-$word} ;;
		list | check | cat | mode | show | diff | add | remove | enable | disable) [[ $group ]] && verb=${verb:-$word} ;;
		esac
	done
	if [[ $cur == -* ]]; then
		words=(--bus= --host= --json= --no-legend --help --version)
		case $verb in
		events) words+=(--follow --lines= --output= --policy= --exe= --verdict= --since=) ;;
		explain) words+=(--policy= --exe= --verdict= --offline) ;;
		simulate)
			words+=(--offline --exe= --hook= --dst= --src= --protocol= --family= --type= --state= --arg=
				--parent= --lineage= --uid= --gid= --auid= --pid= --ancestors= --unit= --stdio= --caps=
				--namespaces=)
			;;
		check) words+=(--tetragon --offline) ;;
		enforce) words+=(--reason= --confirm= --persist) ;;
		reload | lock | mode | enable | disable) words+=(--reason=) ;;
		stop) words+=(--disarm) ;;
		stats) words+=(--openmetrics) ;;
		add) words+=(--reason= --dry-run --runtime) ;;
		remove) words+=(--reason= --dry-run --runtime --mask) ;;
		apply) words+=(--reason= --dry-run --runtime --replace-all) ;;
		esac
		compopt -o nospace
	elif [[ $group && -z $verb ]]; then
		words=(list show cat check diff add remove mode enable disable)
	elif [[ -z $verb ]]; then
		words=(status enforce confirm rollback lock policy apply reload events explain simulate stats doctor stop version help)
	else
		case $verb in
		enforce) words=(on off status) ;;
		help)
			words=(status enforce confirm rollback lock policy apply reload events explain simulate stats doctor stop version help)
			[[ $prev == policy ]] && words=(list show cat check diff add remove mode enable disable)
			;;
		check | diff | add | apply | simulate | explain)
			COMPREPLY=($(compgen -f -- "$cur"))
			return
			;;
		cat | show | remove | enable | disable) words=($(revshellctl policy list --no-legend 2>/dev/null | cut -d' ' -f1)) ;;
		mode)
			if [[ $prev == mode ]]; then
				words=($(revshellctl policy list --no-legend 2>/dev/null | cut -d' ' -f1))
			else
				words=(enforce monitor off default)
			fi
			;;
		esac
	fi
	COMPREPLY=($(compgen -W "${words[*]}" -- "$cur"))
}

complete -F _revshellctl revshellctl
