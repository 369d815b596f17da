# What a node of the swarm runs: at its start `join`, and then `keep` again and again. Shell, Docker and the AWS CLI alone.
#
# One swarm lives by a lease in DynamoDB, which any healthy manager renews. A manager that finds neither a swarm that it can
# join nor a lease that is valid takes the lease, conditionally, and initialises the swarm: of twenty that try at once one
# succeeds, and one that dies before it has published its tokens is succeeded when its lease ends.
#
# Needs BEAMOPS_ROLE (manager or worker), BEAMOPS_STACK, BEAMOPS_KEY (what encrypts the tokens), BEAMOPS_METRICS (port and
# path of the coordinators' metrics on nodes that run services), BEAMOPS_MANAGERS (`apart`: of services they run what is about
# the node or the swarm alone; or `serve`), AWS_DEFAULT_REGION; `install` also BEAMOPS_SOCKET_GROUP, the number of the group that may use the engine's socket.
set -u

# Longer than a swarm is without a leader (half a minute was seen) and that one takes to come round: whoever takes the lease
# over begins another swarm, and this one ends.
LEASE_SECONDS=${BEAMOPS_LEASE_SECONDS:-180}
KEEP_SECONDS=${BEAMOPS_KEEP_SECONDS:-15}
JOIN_SECONDS=${BEAMOPS_JOIN_SECONDS:-900}
ROTATE_SECONDS=${BEAMOPS_ROTATE_SECONDS:-86400}
QUIET_SECONDS=${BEAMOPS_QUIET_SECONDS:-60}
SETTLE_SECONDS=${BEAMOPS_SETTLE_SECONDS:-300}
LOOK_SECONDS=60
# Which swarm this node is in, for when nobody in it can be asked.
NOTE=${BEAMOPS_NOTE:-/var/lib/beamops-swarm}
PORT=2377
ALERTS='http://127.0.0.1:9093/api/v2/alerts?active=true&silenced=false&inhibited=false'
TABLE="$BEAMOPS_STACK-swarm"
PARAMETERS="/$BEAMOPS_STACK/swarm"

say() { echo "beamops node: $*"; }

# Instance metadata by IMDSv2: a token first.
metadata() {
  token=$(curl -sf -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' http://169.254.169.254/latest/api/token) &&
    curl -sf -m 5 -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}

INSTANCE=${BEAMOPS_INSTANCE:-$(metadata instance-id)}
ADDRESS=${BEAMOPS_ADDRESS:-$(metadata local-ipv4)}
TOLD_IMAGES=
NEXT_LOOK=0
NEXT_MOVE=0
PAUSE=$QUIET_SECONDS
# The parameter that lists the images which this node needs.
IMAGES=images
[ "$BEAMOPS_ROLE/$BEAMOPS_MANAGERS" != manager/apart ] || IMAGES="manager-images"

now() { date +%s; }

read_parameter() {
  aws ssm get-parameter --name "$PARAMETERS/$1" --with-decryption --query Parameter.Value --output text 2>/dev/null
}

write_parameter() { aws ssm put-parameter --name "$PARAMETERS/$1" --type String --value "$2" --overwrite >/dev/null; }

write_secret() {
  aws ssm put-parameter --name "$PARAMETERS/$1" --type SecureString --key-id "$BEAMOPS_KEY" --value "$2" --overwrite \
    >/dev/null
}

# Take the lease as $1, or renew it: from nobody, from oneself (also as one was called before, $2), or after its end.
# The one condition is the one lock. A swarm holds it by its own id, whichever of its managers renews it.
# 1: somebody else holds it; 2: nobody knows, since AWS does not answer or refuses.
take_lease() {
  said=$(aws dynamodb update-item --table-name "$TABLE" --key '{"name": {"S": "swarm"}}' \
    --update-expression 'SET holder = :me, expires = :until' \
    --condition-expression 'attribute_not_exists(holder) OR holder IN (:me, :was) OR expires < :now' \
    --expression-attribute-values "{\":me\": {\"S\": \"$1\"}, \":was\": {\"S\": \"${2:-$1}\"},
      \":now\": {\"N\": \"$(now)\"}, \":until\": {\"N\": \"$(($(now) + LEASE_SECONDS))\"}}" 2>&1 >/dev/null) && return 0
  case $said in
    *ConditionalCheckFailed*) return 1 ;;
  esac
  say "cannot ask for the lease: $(echo "$said" | tr '\n' ' ')" >&2
  return 2
}

swarm_id() { docker info --format '{{if .Swarm.Cluster}}{{.Swarm.Cluster.ID}}{{end}}'; }
state() { docker info --format '{{.Swarm.LocalNodeState}}' 2>/dev/null; }
is_manager() { [ "$(docker info --format '{{.Swarm.ControlAvailable}}' 2>/dev/null)" = true ]; }
is_leader() { [ "$(docker node inspect self --format '{{if .ManagerStatus}}{{.ManagerStatus.Leader}}{{end}}' 2>/dev/null)" = true ]; }

list_managers() {
  docker node ls --filter role=manager --format '{{.ID}}' | while read -r node; do
    docker node inspect "$node" --format '{{if eq .ManagerStatus.Reachability "reachable"}}{{.ManagerStatus.Addr}}{{end}}'
  done
}

# Whoever reads a token finds its swarm's id.
publish() {
  write_parameter id "$(swarm_id)" && write_secret manager-token "$(docker swarm join-token -q manager)" &&
    write_secret worker-token "$(docker swarm join-token -q worker)" &&
    write_parameter managers "$(list_managers | tr '\n' ' ')"
}

# Whether another swarm has been begun in place of this node's. Whoever lost its managers does not hear of it otherwise, and
# who has its own back after the lease has ended is in the one that has to go.
superseded() {
  [ "$(now)" -ge "$NEXT_LOOK" ] || return 1
  NEXT_LOOK=$(($(now) + LOOK_SECONDS))
  mine=$(cat "$NOTE" 2>/dev/null) && newest=$(read_parameter id) &&
    [ -n "$mine" ] && [ -n "$newest" ] && [ "$mine" != "$newest" ]
}

tell_ready() {
  aws ec2 create-tags --resources "$INSTANCE" \
    --tags Key=beamops:swarm,Value=ready "Key=beamops:node,Value=$(docker info --format '{{.Swarm.NodeID}}')" >/dev/null
}

# Images are on a node before a task wants them: swarm's tasks have nobody who logs in at ECR.
pull() {
  images=$(read_parameter "$IMAGES") || return 0
  digest=$(printf %s "$images" | sha256sum | cut -c 1-16)
  [ "$digest" != "$TOLD_IMAGES" ] || return 0
  DOCKER_CONFIG=$(mktemp -d) && export DOCKER_CONFIG
  missing=
  # A parameter cannot be empty.
  [ "$images" != none ] || images=
  for image in $images; do
    docker image inspect "$image" >/dev/null 2>&1 && continue
    aws ecr get-login-password | docker login --username AWS --password-stdin "${image%%/*}" >/dev/null 2>&1
    docker pull --quiet "$image" >/dev/null || missing="$missing $image"
  done
  rm -rf "$DOCKER_CONFIG"
  unset DOCKER_CONFIG
  if [ -n "$missing" ]; then
    say "could not pull$missing" >&2
    return 1
  fi
  aws ec2 create-tags --resources "$INSTANCE" --tags "Key=beamops:images,Value=$digest" >/dev/null && TOLD_IMAGES=$digest
}

initialise() {
  say "initialising the swarm"
  # Three heartbeats without a word and a node counts as lost: its replicas run elsewhere after 8 s, and not after 16.
  docker swarm init --advertise-addr "$ADDRESS" --listen-addr "$ADDRESS:$PORT" --dispatcher-heartbeat 2s >/dev/null || return 1
  # Whoever took longer than the lease lasts has been succeeded, and must not publish a second swarm.
  take_lease "$(swarm_id)" "$INSTANCE" && publish && swarm_id >"$NOTE" && tell_ready
}

# Join at whichever manager answers first.
join_at() {
  for manager in $2; do
    if timeout 20 docker swarm join --token "$1" --advertise-addr "$ADDRESS" --listen-addr "$ADDRESS:$PORT" "$manager" \
      >/dev/null 2>&1; then
      say "joined at $manager"
      read_parameter id >"$NOTE"
      return 0
    fi
    # A join that was cut off goes on in the background: it must not meet the next one.
    [ "$(state)" = active ] && return 0
    docker swarm leave --force >/dev/null 2>&1
  done
  return 1
}

join() {
  # A swarm that has been released to gives a new node tasks at once.
  pull
  end=$(($(now) + JOIN_SECONDS)) settled=$(($(now) + SETTLE_SECONDS))
  while [ "$(now)" -lt "$end" ]; do
    wait=
    case $(state) in
      active)
        tell_ready && say "is in the swarm" && return 0
        wait=yes
        ;;
      # Without its engine it can begin no swarm, and must not hold the lease.
      '') wait=yes ;;
      # It started anew, and looks for the swarm that it is in, which lives again when most of its managers have come back:
      # who left meanwhile would end it. What it has not found by then is gone.
      pending) [ "$(now)" -ge "$settled" ] || superseded || wait=yes ;;
    esac
    if [ -n "$wait" ]; then
      sleep 1
      continue
    fi
    token=$(read_parameter "$BEAMOPS_ROLE-token")
    managers=$(read_parameter managers)
    if [ -n "$token" ] && [ -n "$managers" ] && join_at "$token" "$managers"; then
      continue
    fi
    # Nobody to join at. While a healthy manager holds the lease, the swarm lives: its addresses are only not known yet.
    if [ "$BEAMOPS_ROLE" = manager ] && take_lease "$INSTANCE"; then
      initialise && return 0
      docker swarm leave --force >/dev/null 2>&1
    fi
    sleep "$((1 + $(od -An -N1 -tu1 /dev/urandom) % 3))"
  done
  say "could not join within $JOIN_SECONDS s" >&2
  return 1
}

# Which machine a node is, and in which zone: from the machine's own tag, since a worker cannot set its labels.
label() {
  docker node ls -q | while read -r node; do
    [ -z "$(docker node inspect "$node" --format '{{index .Spec.Labels "beamops.instance"}}')" ] || continue
    found=$(aws ec2 describe-instances --filters "Name=tag:beamops:node,Values=$node" --output text \
      --query 'Reservations[].Instances[].[InstanceId,Placement.AvailabilityZone]' | tr '\t' ' ')
    [ -n "$found" ] || continue
    docker node update --label-add "beamops.instance=${found% *}" --label-add "beamops.zone=${found#* }" "$node" >/dev/null
  done
}

# Nodes that can take what serves; $1: a further condition.
list_serving() {
  docker node ls ${1:+--filter "$1"} --format '{{.ID}} {{.Status}} {{.Availability}} {{.ManagerStatus}}' |
    awk -v managers="$BEAMOPS_MANAGERS" '$2 == "Ready" && $3 == "Active" && ($4 == "" || managers == "serve") {print $1}'
}

# One node that serves keeps data that has to be somewhere: when it is gone another does, from nothing.
name_keeper() {
  keeper="$BEAMOPS_STACK.data"
  [ -z "$(list_serving "node.label=$keeper=true")" ] || return 0
  node=$(list_serving | head -n 1)
  [ -n "$node" ] || return 0
  docker node ls --quiet --filter "node.label=$keeper=true" | while read -r old; do
    docker node update --label-rm "$keeper" "$old" >/dev/null
  done
  docker node update --label-add "$keeper=true" "$node" >/dev/null && say "$node keeps data"
}

# Nodes whose machine is gone are forgotten; a machine that is about to end is drained, waited for, and let go.
tidy() {
  docker node ls --format '{{.ID}} {{.Status}}' | while read -r node status; do
    [ "$status" = Down ] || continue
    # One that left and joined anew is here by another name.
    found=$(aws ec2 describe-instances --filters "Name=tag:beamops:node,Values=$node" \
      --query 'Reservations[].Instances[].State.Name' --output text) || continue
    case ${found:-gone} in
      gone | terminated | shutting-down)
        docker node demote "$node" >/dev/null 2>&1
        docker node rm --force "$node" >/dev/null && say "forgot $node, whose machine is gone"
        ;;
    esac
  done
  aws autoscaling describe-auto-scaling-instances \
    --query "AutoScalingInstances[?LifecycleState=='Terminating:Wait'].[InstanceId,AutoScalingGroupName]" --output text |
    while read -r instance group; do
      node=$(docker node ls --filter "node.label=beamops.instance=$instance" --format '{{.ID}}')
      if [ -n "$node" ]; then
        docker node update --availability drain "$node" >/dev/null
        # Swarm wants them to end at once; they take the time that they have for it. Of a node that is gone nobody hears.
        if [ "$(docker node inspect "$node" --format '{{.Status.State}}')" = ready ]; then
          left=$(docker node ps "$node" --format '{{.CurrentState}}') || continue
          ! echo "$left" | grep -qE '^(New|Pending|Assigned|Accepted|Preparing|Ready|Starting|Running)' || continue
        fi
        docker node rm --force "$node" >/dev/null
      fi
      aws autoscaling complete-lifecycle-action --auto-scaling-group-name "$group" --instance-id "$instance" \
        --lifecycle-hook-name "$BEAMOPS_STACK-drain" --lifecycle-action-result CONTINUE && say "let $instance go"
    done
}

# Of lines `node zone`, and a line `node` for each replica: would one more and one fewer help? Swarm puts the one into the
# zone with fewest, and there onto the node with fewest, whichever that is of equals; and takes one away from a node with
# most, whatever zone that is in.
uneven() {
  awk 'NF == 2 {zone[$1] = $2; on[$1] += 0; within[$2] += 0}
    NF == 1 && $1 in zone {on[$1]++; within[zone[$1]]++}
    END {
      for (z in within) if (least == "" || within[z] < least) least = within[z]
      for (n in zone) if (on[n] > most) most = on[n]
      for (n in zone) if (fewest[zone[n]] == "" || on[n] < fewest[zone[n]]) fewest[zone[n]] = on[n]
      for (z in within) if (within[z] == least && fewest[z] > there) there = fewest[z]
      exit !(most - there > 1)
    }'
}

# A swarm moves nothing to a node that has come, and an update can leave two replicas on one node. So one more starts, and
# when it is healthy one goes. A label says how many there are to be then: whoever leads finishes what another leader began.
# One that does not get healthy stays asked for: to take one away then could take a healthy one.
rebalance() {
  nodes=$(list_serving | xargs -r docker node inspect --format '{{.ID}} {{index .Spec.Labels "beamops.zone"}}')
  even=yes
  for service in $(docker service ls -q --filter "label=beamops.stack=$BEAMOPS_STACK" --filter mode=replicated); do
    read -r wanted update since spare <<EOF
$(docker service inspect "$service" --format '{{.Spec.Mode.Replicated.Replicas}} {{with .UpdateStatus}}{{.State}} {{
      with .CompletedAt}}{{.Unix}}{{else}}0{{end}}{{else}}none 0{{end}} {{index .Spec.Labels "beamops.spare"}}')
EOF
    # Any change makes swarm forget what it would go back to: not in the middle, and not before whoever deploys has looked.
    case $update in
      none | completed | rollback_completed) [ "$(($(now) - since))" -ge "$QUIET_SECONDS" ] || continue ;;
      *) continue ;;
    esac
    replicas=$(docker service ps "$service" --no-resolve --filter desired-state=running \
      --format '{{.Node}} {{.CurrentState}}' | awk '$2 == "Running" {print $1}')
    [ "$(echo "$replicas" | grep -c .)" = "$wanted" ] || continue
    # The load may have moved them meanwhile.
    [ "$(docker service inspect "$service" --format '{{.Spec.Mode.Replicated.Replicas}}')" = "$wanted" ] || continue
    if [ -n "$spare" ]; then
      # Whoever has set another number meanwhile meant that one.
      [ "$wanted" = "$((spare + 1))" ] || spare=$wanted
      docker service update --detach --replicas "$spare" --label-rm beamops.spare "$service" >/dev/null
    elif printf '%s\n%s\n' "$nodes" "$replicas" | uneven; then
      even=
      [ "$(now)" -ge "$NEXT_MOVE" ] || continue
      # Where it does not help, since a node has no room, it is tried again later and later.
      NEXT_MOVE=$(($(now) + PAUSE)) PAUSE=$((PAUSE < 3600 ? PAUSE * 2 : PAUSE))
      docker service update --detach --replicas "$((wanted + 1))" --label-add "beamops.spare=$wanted" "$service" >/dev/null &&
        say "moves a replica of $service"
    fi
  done
  [ -z "$even" ] || PAUSE=$QUIET_SECONDS
}

# What the coordinators say is ready, for each worker: what the number of workers follows.
tell_load() {
  addresses=$(list_serving | xargs -r docker node inspect --format '{{.Status.Addr}}')
  metrics=
  # The leading one alone tells of the work, and a proxy asks each of them in turn.
  end=$(($(now) + 15))
  for _ in 1 2 3 4 5 6 7 8; do
    for address in $addresses; do
      [ "$(now)" -lt "$end" ] || break 2
      told=$(curl -sf -m 2 "http://$address$BEAMOPS_METRICS") || continue
      case $told in *beamops_health_score\{*) metrics=$told && break 2 ;; esac
    done
  done
  [ -n "$metrics" ] || return 0
  ready=$(echo "$metrics" | awk '/^beamops_work_items\{.*status="ready"/ {sum += $NF} END {print sum + 0}')
  workers=$(docker node ls --filter role=worker --format '{{.Status}}' | grep -c Ready)
  aws cloudwatch put-metric-data --namespace BEAMOps --metric-name ReadyWorkPerWorker \
    --dimensions "Stack=$BEAMOPS_STACK" --value "$(echo "$ready $workers" | awk '{print $1 / ($2 > 0 ? $2 : 1)}')"
}

# What fires, from the node that Alertmanager runs on: its container has no credentials of AWS, the node has.
# (-T, which would bound the request, ends in a segmentation fault in the busybox of Debian.)
tell_alerts() {
  container=$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$BEAMOPS_STACK-alertmanager" \
    --filter health=healthy)
  [ -n "$container" ] || return 0
  names=$(timeout 10 docker exec "$container" busybox wget -q -O - "$ALERTS" |
    grep -o '"alertname":"[A-Za-z]*"' | cut -d '"' -f 4 | sort -u)
  # Where the watchdog does not fire nobody works out rules, and what else is there is old.
  case $names in *Watchdog*) ;; *) return 0 ;; esac
  set --
  for name in $names; do set -- "$@" "MetricName=AlertFiring,Value=1,Dimensions=[{Name=Alert,Value=$name}]"; done
  timeout 30 aws cloudwatch put-metric-data --namespace "BEAMOps/$BEAMOPS_STACK" --metric-data "$@"
}

# New tokens once a day: whoever has read an old one can join no more.
rotate() {
  last=$(read_parameter rotated) || last=0
  [ "$(($(now) - ${last:-0}))" -ge "$ROTATE_SECONDS" ] || return 0
  docker swarm join-token --rotate -q manager >/dev/null && docker swarm join-token --rotate -q worker >/dev/null
  write_parameter rotated "$(now)" && say "rotated the tokens"
}

keep() {
  if [ "$(state)" != active ]; then
    join
  elif superseded; then
    say "another swarm has been begun in place of this node's, which it leaves"
    docker swarm leave --force >/dev/null
    join
  fi
  pull
  is_manager || return 0
  # A manager without its quorum lists nothing: it does not keep a dead swarm's lease alive.
  docker node ls >/dev/null 2>&1 || return 1
  is_leader || return 0
  take_lease "$(swarm_id)"
  case $? in
    0) ;;
    1)
      # The lease is another swarm's, begun after this one was silent for longer than the lease: there is but one.
      say "another swarm holds the lease: this node leaves its own"
      docker swarm leave --force >/dev/null
      return 1
      ;;
    *) return 1 ;;
  esac
  rotate
  publish
  label
  name_keeper
  rebalance
  tidy
  tell_load
}

install() {
  command -v docker >/dev/null || dnf install -y -q docker
  # The engine's exporter is given the group by this number: containers know no names.
  groupmod --gid "$BEAMOPS_SOCKET_GROUP" docker || say "the group of the engine's socket is another: nobody can measure containers" >&2
  systemctl stop docker.socket docker
  systemctl enable --now docker
  # Whoever comes through Session Manager asks the engine as this user.
  usermod -aG docker ec2-user
  cat >/usr/local/sbin/beamops-node <<EOF
#!/bin/sh
export BEAMOPS_ROLE=$BEAMOPS_ROLE BEAMOPS_STACK=$BEAMOPS_STACK BEAMOPS_KEY=$BEAMOPS_KEY
export BEAMOPS_METRICS=$BEAMOPS_METRICS BEAMOPS_MANAGERS=$BEAMOPS_MANAGERS
export AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
$(cat "$0")
EOF
  chmod 755 /usr/local/sbin/beamops-node
  cat >/etc/systemd/system/beamops-node.service <<EOF
[Unit]
Description=This node's place in the swarm
After=docker.service network-online.target
Wants=network-online.target
Requires=docker.service
[Service]
# Joining bounds itself: images come first, and a first manager.
TimeoutStartSec=infinity
ExecStartPre=/usr/local/sbin/beamops-node join
ExecStart=/usr/local/sbin/beamops-node run
Restart=always
[Install]
WantedBy=multi-user.target
EOF
  systemctl daemon-reload
  systemctl enable --now beamops-node
}

case ${1:-install} in
  install) install ;;
  join) join ;;
  keep) keep ;;
  run) while :; do keep || say "could not keep the swarm this time" >&2; tell_alerts; sleep "$KEEP_SECONDS"; done ;;
  *) say "install, join, keep or run" >&2; exit 2 ;;
esac
