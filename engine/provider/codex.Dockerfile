ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates curl git less nodejs npm openssh-client procps ripgrep \
 && rm -rf /var/lib/apt/lists/*
RUN npm install --global --no-fund --no-audit @openai/codex \
 && npm cache clean --force
RUN (getent passwd node >/dev/null || useradd --create-home --uid 1000 --shell /bin/bash node) \
 && install -d -o node -g node /home/node/workspace
USER node
WORKDIR /home/node/workspace
