ARG BASE
FROM ${BASE}
RUN if ! { command -v git && command -v ssh && test -s /etc/ssl/certs/ca-certificates.crt; } >/dev/null; then \
      if command -v apk >/dev/null; then \
        apk add --no-cache git openssh-client ca-certificates; \
      else \
        apt-get update && \
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git openssh-client ca-certificates && \
        rm -rf /var/lib/apt/lists/*; \
      fi; \
    fi && \
    echo 'bb:x:65532:65532:bb:/var/lib/bb:/bin/false' >> /etc/passwd && \
    echo 'bb:x:65532:' >> /etc/group && \
    mkdir -p /run/bb/door /run/bb/ctl /var/lib/bb/ca && \
    chmod 0755 /run/bb /run/bb/door /var/lib/bb && \
    chmod 0700 /run/bb/ctl /var/lib/bb/ca && \
    chown 65532:65532 /run/bb/door /run/bb/ctl /var/lib/bb/ca
COPY bb /usr/local/bin/bb
USER 65532:65532
