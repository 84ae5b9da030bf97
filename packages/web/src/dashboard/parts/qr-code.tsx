/** A text as a QR code: one path of squares, dark on light in every theme, since not every camera reads the inverse. */

import encodeQR from 'qr';

export function QrCode({ text, label }: { readonly text: string; readonly label: string }) {
  const squares = encodeQR(text, 'raw', { ecc: 'medium', border: 2 });
  const path = squares
    .flatMap((row, y) => row.flatMap((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : [])))
    .join('');
  return (
    <svg
      className="qr"
      role="img"
      aria-label={label}
      viewBox={`0 0 ${squares.length} ${squares.length}`}
      shapeRendering="crispEdges"
    >
      <rect width="100%" height="100%" fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
